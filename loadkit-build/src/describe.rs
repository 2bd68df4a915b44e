//! What a schema has, for whoever writes code for it: `cargo loadkit new` does.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::fingerprint;
use crate::names;
use crate::schema::{Entry, Schema};

/// What a schema has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The packages for which there is a file, by the alphabet; the empty name for files without a package.
    pub packages: Vec<String>,
    /// The package of the first file, which has the tables of opcodes.
    pub root: String,
    /// What clients ask and the server answers, by opcode.
    pub requests: Vec<Asked>,
    /// The messages that are declared in no other, by name.
    pub messages: Vec<Named>,
    /// The schema's fingerprint: 16 hexadecimal digits, the same for schemas that say the same on the wire.
    pub fingerprint: String,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request.
    pub request: Named,
    /// Its answer.
    pub reply: Named,
    /// The first field of the request that is a text, as it is called in Rust.
    pub text: Option<String>,
    /// How many fields the request has in Rust.
    pub fields: usize,
}

/// A message, and how it is called in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name in the schema, with the package.
    pub full: String,
    /// Its type, seen from the module of the root package.
    pub rust: String,
    /// Its variant in the tables of opcodes.
    pub variant: String,
}

impl Description {
    pub(crate) fn of(schema: &Schema, pool: &DescriptorPool, root: Option<&str>) -> Description {
        let root = root.and_then(|name| pool.get_file_by_name(name)).map(|file| file.package_name().to_owned());
        let root = root.unwrap_or_default();
        let is_own = |package: &str| !matches!(package, names::OURS | "google.protobuf");
        let files = pool.files().filter(|file| is_own(file.package_name()));
        let mut packages: Vec<String> = files.map(|file| file.package_name().to_owned()).collect();
        packages.sort();
        packages.dedup();
        let requests = schema.on_the_wire().into_iter().filter(|(_, wire)| wire.sides.client);
        let requests = requests.filter_map(|(entry, wire)| Some(Asked::of(entry, wire.reply.as_ref()?, &root)));
        let requests = requests.collect();
        let top = pool.all_messages().filter(|message| {
            is_own(message.package_name()) && message.parent_message().is_none() && params(schema, message) == 0
        });
        let mut messages: Vec<Named> = top.map(|message| Named::of(&message, &root)).collect();
        messages.sort_by(|a, b| a.full.cmp(&b.full));
        Description { packages, requests, messages, fingerprint: fingerprint::of(pool), root }
    }
}

impl Asked {
    fn of(entry: &Entry, reply: &MessageDescriptor, root: &str) -> Asked {
        let is_text = |field: &FieldDescriptor| {
            matches!(field.kind(), Kind::String) && !field.is_list() && !field.supports_presence()
        };
        // An alias has one field in Rust: what it is.
        let fields: Vec<FieldDescriptor> = entry.message.fields().filter(|_| entry.alias.is_none()).collect();
        Asked {
            request: Named::of(&entry.message, root),
            reply: Named::of(reply, root),
            text: fields.iter().find(|field| is_text(field)).map(|field| names::snake(field.name())),
            fields: if entry.alias.is_none() { fields.len() } else { 1 },
        }
    }
}

impl Named {
    fn of(message: &MessageDescriptor, root: &str) -> Named {
        Named {
            full: message.full_name().to_owned(),
            rust: names::path(message, root, 0, "::loadkit::transport"),
            variant: names::type_name(message.name()),
        }
    }
}

/// How many type parameters a message has.
fn params(schema: &Schema, message: &MessageDescriptor) -> usize {
    schema.messages.iter().find(|entry| entry.message == *message).map_or(0, |entry| entry.params.len())
}
