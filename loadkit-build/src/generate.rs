//! `schema -> code`: prost-build makes the messages, and what it cannot know is put in.
//!
//! A field that says what it is ([`Type`]) is handed to prost-build as a message of a made-up name whose Rust path is
//! that type. So all of prost-build's own rules hold for it, and only what is peculiar to generic messages is edited.

use std::collections::{BTreeMap, HashMap};

use prost_build::{Config, Module};
use prost_reflect::DescriptorPool;
use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use crate::error::Error;
use crate::schema::{Entry, Schema};
use crate::types::Type;
use crate::{edit, emit, names};

/// The package of the made-up messages.
const MADE_UP: &str = "lk_made_up";
/// The number of `DescriptorProto.field`, of which the paths of places are made.
const FIELDS_OF_A_MESSAGE: i32 = 2;
/// The field of an alias that becomes what the alias is.
pub(crate) const INNER: &str = "inner";

/// The files: name and text.
pub(crate) fn generate(
    schema: &Schema,
    pool: &DescriptorPool,
    root: Option<&str>,
    runtime: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let entries: HashMap<&str, &Entry> =
        schema.messages.iter().map(|entry| (entry.message.full_name(), entry)).collect();
    let prost = format!("{runtime}::protobuf::prost");
    let mut config = Config::new();
    config.prost_path(&prost).extern_path(format!(".{}", names::OURS), format!("{runtime}::protobuf"));
    let mut made_up = MadeUp { runtime, types: Vec::new() };
    let mut files: Vec<FileDescriptorProto> = Vec::new();
    for file in pool.files() {
        let mut file = file.file_descriptor_proto().clone();
        let package = file.package().to_owned();
        for message in &mut file.message_type {
            made_up.rewrite(message, &package, &package, 0, &entries);
        }
        for entry in schema.messages.iter().filter(|entry| entry.alias.is_some()) {
            if entry.message.parent_file().name() == file.name() {
                note_inner(&mut file, entry.message.path());
            }
        }
        files.push(file);
    }
    for (n, rust) in made_up.types.iter().enumerate() {
        config.extern_path(format!(".{MADE_UP}.T{n}"), rust);
    }
    files.push(made_up.file());
    let requests = files.into_iter().map(|file| (Module::from_protobuf_package_name(file.package()), file)).collect();
    let generated = config.generate(requests)?;

    let root_package = root.and_then(|name| pool.get_file_by_name(name)).map(|file| file.package_name().to_owned());
    let mut packages: Vec<String> = pool.files().map(|file| file.package_name().to_owned()).collect();
    packages.sort();
    packages.dedup();
    let mut out = BTreeMap::new();
    for package in packages {
        let Some(code) = generated.get(&Module::from_protobuf_package_name(&package)) else { continue };
        let mut code = syn::parse_file(code)?;
        for entry in schema.messages.iter().filter(|entry| entry.message.package_name() == package) {
            edit::edit(&mut code.items, entry, &prost)?;
        }
        let is_root = root_package.as_ref() == Some(&package);
        let more = emit::emit(schema, &package, root_package.as_deref().unwrap_or(&package), is_root, runtime);
        code.items.extend(syn::parse_file(&more)?.items);
        let name = if package.is_empty() { "_" } else { &package };
        out.insert(format!("{name}.rs"), prettyplease::unparse(&code));
    }
    Ok(out)
}

/// The made-up messages: what each is in Rust.
struct MadeUp<'a> {
    runtime: &'a str,
    types: Vec<String>,
}

impl MadeUp<'_> {
    fn rewrite(
        &mut self,
        message: &mut DescriptorProto,
        package: &str,
        scope: &str,
        depth: usize,
        entries: &HashMap<&str, &Entry>,
    ) {
        let name = if scope.is_empty() { message.name().to_owned() } else { format!("{scope}.{}", message.name()) };
        if let Some(entry) = entries.get(name.as_str()) {
            for (field, of) in &entry.fields {
                // A oneof is an enum in the message's own module, one deeper.
                let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
                let type_name = self.add(of.rust(package, depth + usize::from(in_oneof), self.runtime));
                if let Some(field) = message.field.iter_mut().find(|own| own.name() == field.name()) {
                    (field.r#type, field.type_name) = (Some(FieldType::Message.into()), Some(type_name));
                }
            }
            if let Some(alias) = &entry.alias {
                let inner = self.add(alias.rust(package, depth, self.runtime));
                become_alias(message, inner);
            }
        }
        for nested in &mut message.nested_type {
            self.rewrite(nested, package, &name, depth + 1, entries);
        }
    }

    /// A made-up message of this Rust type; its name.
    fn add(&mut self, rust: String) -> String {
        let n = self.types.iter().position(|known| *known == rust).unwrap_or_else(|| {
            self.types.push(rust);
            self.types.len() - 1
        });
        format!(".{MADE_UP}.T{n}")
    }

    /// With a string and a float in each, so that prost-build takes none for `Copy` or `Eq`.
    fn file(&self) -> FileDescriptorProto {
        let field = |name: &str, number, kind: FieldType| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            label: Some(Label::Optional.into()),
            r#type: Some(kind.into()),
            ..FieldDescriptorProto::default()
        };
        let message = |n: usize| DescriptorProto {
            name: Some(format!("T{n}")),
            field: vec![field("a", 1, FieldType::String), field("b", 2, FieldType::Double)],
            ..DescriptorProto::default()
        };
        FileDescriptorProto {
            name: Some(format!("{MADE_UP}.proto")),
            package: Some(MADE_UP.to_owned()),
            message_type: (0..self.types.len()).map(message).collect(),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        }
    }
}

/// Leaves nothing of what an alias declares for other languages, but one field that is what it is.
fn become_alias(message: &mut DescriptorProto, type_name: String) {
    message.field = vec![FieldDescriptorProto {
        name: Some(INNER.to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(FieldType::Message.into()),
        type_name: Some(type_name),
        ..FieldDescriptorProto::default()
    }];
    message.oneof_decl.clear();
    message.nested_type.clear();
    message.enum_type.clear();
}

/// prost-build looks for the comment of each field, and insists that there is a place for one.
fn note_inner(file: &mut FileDescriptorProto, alias: &[i32]) {
    let path = [alias, &[FIELDS_OF_A_MESSAGE, 0]].concat();
    let Some(info) = &mut file.source_code_info else { return };
    if !info.location.iter().any(|location| location.path == path) {
        info.location.push(Location { path, span: vec![0, 0, 0], ..Location::default() });
    }
}

impl Type {
    /// The type arguments, if it is our `Outcome`.
    pub(crate) fn as_outcome(&self) -> Option<&[Type]> {
        match self {
            Type::Message(message, args) if message.full_name() == "lk.Outcome" => Some(args),
            _ => None,
        }
    }
}
