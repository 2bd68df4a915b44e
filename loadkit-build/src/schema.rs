//! What the schema says beyond plain Protobuf, read once and checked.

use std::collections::HashMap;

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::edit;
use crate::error::Error;
use crate::names;
use crate::sides::{self, Sides};
use crate::types::{Scope, Type};

/// All that the options say.
pub(crate) struct Schema {
    pub(crate) messages: Vec<Entry>,
}

/// A message with options, in itself or in its fields.
pub(crate) struct Entry {
    pub(crate) message: MessageDescriptor,
    pub(crate) params: Vec<String>,
    /// The fields that say what they are.
    pub(crate) fields: Vec<(FieldDescriptor, Type)>,
    pub(crate) alias: Option<Type>,
    pub(crate) wire: Option<Wire>,
}

/// What a message with an opcode is on the wire.
pub(crate) struct Wire {
    pub(crate) opcode: u32,
    /// It is to be answered; by whom, a fault may have hidden.
    pub(crate) asks: bool,
    pub(crate) reply: Option<MessageDescriptor>,
    pub(crate) sides: Sides,
    /// `lk.Channel`.
    pub(crate) channel: i32,
    pub(crate) error: bool,
}

/// The options, as the schema's own copy of `loadkit/options.proto` declares them.
pub(crate) struct Options(HashMap<Ext, ExtensionDescriptor>);

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ext {
    Opcode,
    Reply,
    From,
    Channel,
    Error,
    Params,
    Alias,
    Of,
}

const EXTENSIONS: [(Ext, &str); 8] = [
    (Ext::Opcode, "opcode"),
    (Ext::Reply, "reply"),
    (Ext::From, "from"),
    (Ext::Channel, "channel"),
    (Ext::Error, "error"),
    (Ext::Params, "params"),
    (Ext::Alias, "alias"),
    (Ext::Of, "of"),
];

/// What is wrong, one line for each fault.
#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn add(&mut self, message: &MessageDescriptor, what: impl std::fmt::Display) {
        self.0.push(format!("{}: {}: {what}", place(message), message.full_name()));
    }
}

/// `arena.proto:31`, where a message is declared.
pub(crate) fn place(message: &MessageDescriptor) -> String {
    let file = message.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == message.path()));
    match location.and_then(|location| location.span.first()) {
        Some(line) => format!("{}:{}", file.name(), line + 1),
        None => file.name().to_owned(),
    }
}

impl Schema {
    /// Reads the options of all messages but our own.
    pub(crate) fn read(pool: &DescriptorPool) -> Result<Schema, Error> {
        let options = Options::find(pool)?;
        let mut faults = Faults::default();
        let mut messages: Vec<Entry> = pool
            .all_messages()
            .filter(|message| !matches!(message.package_name(), names::OURS | "google.protobuf"))
            .map(|message| read_entry(pool, &options, message, &mut faults))
            .collect();
        check_opcodes(&messages, &mut faults);
        sides::assign(&mut messages, &mut faults);
        if faults.0.is_empty() { Ok(Schema { messages }) } else { Err(Error::Schema(faults.0)) }
    }

    /// The messages with opcodes, in their order.
    pub(crate) fn on_the_wire(&self) -> Vec<(&Entry, &Wire)> {
        let mut all: Vec<_> = self.messages.iter().filter_map(|entry| Some((entry, entry.wire.as_ref()?))).collect();
        all.sort_by_key(|(_, wire)| wire.opcode);
        all
    }
}

impl Options {
    fn find(pool: &DescriptorPool) -> Result<Options, Error> {
        let find = |(ext, name): (Ext, &str)| {
            let name = format!("{}.{name}", names::OURS);
            let found = pool.get_extension_by_name(&name);
            let missing = || Error::Schema(vec![format!("loadkit/options.proto of your own does not declare {name}")]);
            found.map(|found| (ext, found)).ok_or_else(missing)
        };
        EXTENSIONS.into_iter().map(find).collect::<Result<_, _>>().map(Options)
    }

    fn get(&self, options: &DynamicMessage, ext: Ext) -> Option<Value> {
        let descriptor = self.0.get(&ext)?;
        options.has_extension(descriptor).then(|| options.get_extension(descriptor).into_owned())
    }

    pub(crate) fn text(&self, options: &DynamicMessage, ext: Ext) -> Option<String> {
        self.get(options, ext).and_then(|value| value.as_str().map(str::to_owned))
    }

    fn number(&self, options: &DynamicMessage, ext: Ext) -> Option<i32> {
        self.get(options, ext).and_then(|value| value.as_enum_number())
    }
}

fn read_entry(pool: &DescriptorPool, options: &Options, message: MessageDescriptor, faults: &mut Faults) -> Entry {
    let params = options.params(&message);
    check_params(&message, &params, faults);
    let scope = Scope { pool, options, message: &message, params: &params };
    let said = message.options();
    let mut fields = Vec::new();
    for field in message.fields() {
        match read_field(&field, &scope) {
            Ok(Some(of)) => fields.push((field, of)),
            Ok(None) => {}
            Err(why) => faults.add(&message, format_args!("field `{}`: {why}", field.name())),
        }
    }
    let bare = fields.iter().find(|(field, _)| edit::is_bare(field));
    if let (Some((bare, _)), Some(map)) = (bare, message.fields().find(FieldDescriptor::is_map)) {
        let remedy = "put the map into a message of its own, or make the bytes `optional`";
        faults.add(
            &message,
            format_args!("field `{}` cannot stand beside the map `{}`; {remedy}", bare.name(), map.name()),
        );
    }
    for param in params.iter().filter(|param| !fields.iter().any(|(_, of)| of.uses(param))) {
        let remedy = format!("name it in a field, as in `bytes payload = 1 [(lk.of) = \"{param}\"]`");
        faults.add(&message, format_args!("the type parameter {param} is not used; {remedy}"));
    }
    let alias = options.text(&said, Ext::Alias).map(|text| read_alias(&text, &scope));
    let alias = alias.and_then(|alias| alias.map_err(|why| faults.add(&message, why)).ok());
    let wire = read_wire(&said, &scope, faults);
    Entry { params, fields, alias, wire, message }
}

fn check_params(message: &MessageDescriptor, params: &[String], faults: &mut Faults) {
    for (n, param) in params.iter().enumerate() {
        if syn::parse_str::<syn::Ident>(param).is_err() || !param.starts_with(char::is_uppercase) {
            faults.add(message, format_args!("`{param}` is no name for a type parameter; take T, E, Item, …"));
        } else if params[..n].contains(param) {
            faults.add(message, format_args!("it has the type parameter {param} twice"));
        }
    }
}

/// What the field says that it is.
fn read_field(field: &FieldDescriptor, scope: &Scope<'_>) -> Result<Option<Type>, String> {
    let said = scope.options.text(&field.options(), Ext::Of);
    let of = said.map(|text| Type::read(&text, scope)).transpose()?;
    match (field.kind(), of) {
        (Kind::Bytes, of) => Ok(of),
        (Kind::Message(kind), of) if !scope.options.params(&kind).is_empty() => match of {
            Some(Type::Message(named, args)) if named == kind => Ok(Some(Type::Message(named, args))),
            Some(_) => Err(format!("`of` says that it is something else than a {}", kind.full_name())),
            None => {
                let (name, params) = (kind.name(), scope.options.params(&kind).join(", "));
                Err(format!(
                    "{} is generic: say which it is, as in `[(lk.of) = \"{name}<{params}>\"]`",
                    kind.full_name()
                ))
            }
        },
        (_, Some(_)) => Err("`of` is for fields of `bytes`, and for those that are generic messages".to_owned()),
        (_, None) => Ok(None),
    }
}

fn read_alias(text: &str, scope: &Scope<'_>) -> Result<Type, String> {
    if !scope.params.is_empty() {
        return Err("an alias has no type parameters of its own".to_owned());
    }
    let alias = Type::read(text, scope)?;
    let Type::Message(generic, args) = &alias else { return Err(format!("\"{text}\" is no message")) };
    if args.is_empty() {
        return Err(format!("it is an alias of {}, which is not generic: use that itself", generic.full_name()));
    }
    if let Some(why) = differs(scope, generic, args) {
        return Err(format!("it is an alias of {text}, and {why}; declare the same fields, or none"));
    }
    Ok(alias)
}

/// How the fields that an alias declares for other languages differ from those of what it is, if they do.
fn differs(scope: &Scope<'_>, generic: &MessageDescriptor, args: &[Type]) -> Option<String> {
    let alias = scope.message;
    if alias.fields().len() == 0 {
        return None;
    }
    let params = scope.options.params(generic);
    let inner = Scope { pool: scope.pool, options: scope.options, message: generic, params: &params };
    for field in generic.fields() {
        let Some(own) = alias.get_field(field.number()) else {
            return Some(format!("has no field {}, which is `{}` there", field.number(), field.name()));
        };
        // A type argument may be declared as the message that it is, or as `bytes`.
        let of = read_field(&field, &inner).ok().flatten();
        let argument = of.and_then(|of| match of {
            Type::Param(name) => args.get(params.iter().position(|param| *param == name)?).cloned(),
            named => Some(named),
        });
        let same = match (own.kind(), argument) {
            (Kind::Message(own), Some(Type::Message(argument, _))) => own == argument,
            (own, _) => own == field.kind(),
        };
        if !same || own.cardinality() != field.cardinality() {
            return Some(format!("its field {} is something else than `{}` there", own.number(), field.name()));
        }
    }
    let more = alias.fields().find(|field| generic.get_field(field.number()).is_none());
    more.map(|field| format!("has a field {} more", field.number()))
}

fn read_wire(said: &DynamicMessage, scope: &Scope<'_>, faults: &mut Faults) -> Option<Wire> {
    let (options, message) = (scope.options, scope.message);
    let Some(opcode) = options.get(said, Ext::Opcode).and_then(|value| value.as_u32()) else {
        for (ext, name) in EXTENSIONS {
            if matches!(ext, Ext::Reply | Ext::From | Ext::Channel | Ext::Error) && options.get(said, ext).is_some() {
                faults.add(
                    message,
                    format_args!("it has the option `{name}` and no opcode; add `option (lk.opcode) = …`"),
                );
            }
        }
        return None;
    };
    if opcode == 0 {
        faults.add(message, "its opcode is 0, which stands for no message at all; take a number from 1");
    }
    if !scope.params.is_empty() {
        faults.add(message, "it has type parameters, so it has no opcode; give one to an alias of it");
    }
    let reply = options.text(said, Ext::Reply);
    let asks = reply.is_some();
    let reply = reply.and_then(|name| {
        let found = scope.find(&name);
        if found.is_none() {
            faults.add(message, format_args!("its reply `{name}` is no message of the schema; is the name right?"));
        }
        found
    });
    if let Some(reply) = &reply
        && options.get(&reply.options(), Ext::Opcode).is_none()
    {
        let name = reply.full_name();
        faults.add(message, format_args!("its reply {name} ({}) has no opcode; give it one", place(reply)));
    }
    Some(Wire {
        opcode,
        asks,
        reply,
        sides: Sides::said(options.number(said, Ext::From).unwrap_or(0)),
        channel: options.number(said, Ext::Channel).unwrap_or(0),
        error: options.get(said, Ext::Error).and_then(|value| value.as_bool()).unwrap_or(false),
    })
}

fn check_opcodes(messages: &[Entry], faults: &mut Faults) {
    let mut opcodes: HashMap<u32, &MessageDescriptor> = HashMap::new();
    let mut variants: HashMap<String, &MessageDescriptor> = HashMap::new();
    for Entry { message, wire, .. } in messages {
        let Some(wire) = wire.as_ref().filter(|wire| wire.opcode != 0) else { continue };
        let first = *opcodes.entry(wire.opcode).or_insert(message);
        if first != message {
            let (name, at) = (first.full_name(), place(first));
            faults.add(
                message,
                format_args!("its opcode {} is that of {name} ({at}) already; take another", wire.opcode),
            );
        }
        let variant = names::type_name(message.name());
        if ["Unknown", sides::FROM_CLIENT, sides::FROM_SERVER].contains(&variant.as_str()) {
            faults.add(message, format_args!("{variant} is a name of the tables of opcodes; take another"));
        }
        let first = *variants.entry(variant).or_insert(message);
        if first != message {
            let (name, at) = (first.full_name(), place(first));
            faults
                .add(message, format_args!("it is called as {name} ({at}) is, which has an opcode too; take another"));
        }
    }
}
