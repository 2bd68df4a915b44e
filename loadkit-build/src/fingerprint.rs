//! `schema -> 16 hexadecimal digits`: the same for schemas that say the same on the wire.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::digest;
use crate::names;

/// What both sides must have in common: a line for each message, field and enum value, in the order of the alphabet. Names of
/// files, comments and the order of declarations are not in it.
///
/// ```text
/// enum arena.Reason 1 NOT_UNDERSTOOD
/// field arena.Login 1 account string optional
/// message arena.Login [lk.opcode]: 1,[lk.reply]: "Welcome"
/// ```
fn lines(pool: &DescriptorPool) -> BTreeSet<String> {
    let is_own = |package: &str| !matches!(package, names::OURS | "google.protobuf");
    let mut lines = BTreeSet::new();
    for message in pool.all_messages().filter(|message| is_own(message.package_name())) {
        lines.insert(format!("message {} {}", message.full_name(), said(&message.options())));
        lines.extend(message.fields().map(|field| of_field(&message, &field)));
    }
    for declared in pool.all_enums().filter(|declared| is_own(declared.package_name())) {
        lines.extend(of_enum(&declared));
    }
    lines
}

fn of_field(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(of) => of.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let packed = if field.is_packed() { " packed" } else { "" };
    let (number, name) = (field.number(), field.name());
    let cardinality = format!("{:?}", field.cardinality()).to_lowercase();
    let presence = if field.supports_presence() { " presence" } else { "" };
    let said = said(&field.options());
    format!("field {} {number} {name} {kind} {cardinality}{presence}{packed} {said}", message.full_name())
}

fn of_enum(declared: &EnumDescriptor) -> impl Iterator<Item = String> {
    let name = declared.full_name().to_owned();
    declared.values().map(move |value| format!("enum {name} {} {}", value.number(), value.name()))
}

/// The options, loadkit's among them.
fn said(options: &DynamicMessage) -> String {
    let mut said: Vec<String> = options
        .extensions()
        .filter(|(extension, _)| extension.parent_file().package_name() == names::OURS)
        .map(|(extension, value)| format!("{}={value}", extension.name()))
        .collect();
    said.sort();
    said.join(",")
}

/// The schema's fingerprint.
pub(crate) fn of(pool: &DescriptorPool) -> String {
    digest::fingerprint(lines(pool).iter().map(String::as_bytes))
}
