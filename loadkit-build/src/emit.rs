//! What comes after the messages: opcodes, the tables of both directions, and who answers whom.

use std::fmt::Write;

use crate::names;
use crate::schema::{Entry, Schema, Wire};
use crate::sides::{FROM_CLIENT, FROM_SERVER};

/// The code for the file of `package`. The tables are in the file of the package `root`.
pub(crate) fn emit(schema: &Schema, package: &str, root: &str, is_root: bool, runtime: &str) -> String {
    let all = schema.on_the_wire();
    let mut code = String::new();
    let to_root = path_to(package, root);
    let emit = Emit { runtime, package, to_root };
    for &(entry, wire) in all.iter().filter(|(entry, _)| entry.message.package_name() == package) {
        emit.wire(&mut code, entry, wire);
        for (sends, table, back) in
            [(wire.sides.client, FROM_CLIENT, FROM_SERVER), (wire.sides.server, FROM_SERVER, FROM_CLIENT)]
        {
            if sends {
                emit.conversions(&mut code, entry, table);
            }
            if sends && wire.reply.is_some() {
                emit.request(&mut code, schema, entry, wire, table, back);
            }
        }
    }
    if is_root && !all.is_empty() {
        let from = |client: bool| -> Vec<(&Entry, &Wire)> {
            let sent = |wire: &Wire| if client { wire.sides.client } else { wire.sides.server };
            all.iter().copied().filter(|(_, wire)| sent(wire)).collect()
        };
        emit.table(&mut code, FROM_CLIENT, FROM_SERVER, "What clients send", &from(true));
        emit.table(&mut code, FROM_SERVER, FROM_CLIENT, "What the server sends", &from(false));
    }
    code
}

/// The module of one package, from that of another: with `::` at its end if it is not the same.
fn path_to(package: &str, root: &str) -> String {
    let parts =
        |package: &str| package.split('.').filter(|part| !part.is_empty()).map(names::snake).collect::<Vec<_>>();
    let (here, there) = (parts(package), parts(root));
    let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("super".to_owned(), here.len() - common);
    up.chain(there.into_iter().skip(common)).map(|part| part + "::").collect()
}

struct Emit<'a> {
    runtime: &'a str,
    package: &'a str,
    to_root: String,
}

impl Emit<'_> {
    fn path(&self, entry: &Entry) -> String {
        names::path(&entry.message, self.package, 0, self.runtime)
    }

    fn wire(&self, code: &mut String, entry: &Entry, wire: &Wire) {
        let (ty, rt) = (self.path(entry), self.runtime);
        let _ = write!(
            code,
            "impl {rt}::protobuf::Wire for {ty} {{
                const OPCODE: u32 = {};
                const NAME: &'static str = {:?};
            }}",
            wire.opcode,
            entry.message.name(),
        );
        if let Some(alias) = &entry.alias {
            let inner = alias.rust(self.package, 0, rt);
            let _ = write!(code, "impl From<{inner}> for {ty} {{ fn from(inner: {inner}) -> Self {{ Self(inner) }} }}");
        }
    }

    /// From the message to any of its direction, and into an envelope.
    fn conversions(&self, code: &mut String, entry: &Entry, table: &str) {
        let (ty, variant, rt, to_root) = (self.path(entry), variant(entry), self.runtime, &self.to_root);
        let _ = write!(
            code,
            "impl From<{ty}> for {to_root}{table} {{
                fn from(message: {ty}) -> Self {{ Self::{variant}(message) }}
            }}
            impl From<{ty}> for {rt}::protobuf::Envelope<{to_root}{table}> {{
                fn from(message: {ty}) -> Self {{ Self::new(message) }}
            }}",
        );
    }

    fn request(&self, code: &mut String, schema: &Schema, entry: &Entry, wire: &Wire, out: &str, back: &str) {
        let Some(reply) = schema.messages.iter().find(|entry| wire.reply.as_ref() == Some(&entry.message)) else {
            return;
        };
        let (ty, rt, to_root, name) = (self.path(entry), self.runtime, &self.to_root, entry.message.name());
        let outcome = reply.alias.as_ref().and_then(|alias| alias.as_outcome()).and_then(|args| args.first());
        let (answer, value) = match outcome {
            Some(ok) => (ok.rust(self.package, 0, rt), format!("reply.0.into_reply({name:?})")),
            None => (self.path(reply), "Ok(reply)".to_owned()),
        };
        let variant = variant(reply);
        // Where a table has but one variant beside the unknown, this is still not all of them.
        let _ = write!(
            code,
            "impl {rt}::Request<{rt}::protobuf::Enveloped<{to_root}{back}>> for {ty} {{
                type Reply = {answer};
                fn name(&self) -> &'static str {{ {name:?} }}
                fn into_out(self) -> {rt}::protobuf::Envelope<{to_root}{out}> {{ self.into() }}
                fn reply(message: {rt}::protobuf::Envelope<{to_root}{back}>) -> Result<Self::Reply, {rt}::protobuf::Failure> {{
                    match message.body {{
                        {to_root}{back}::{variant}(reply) => {value},
                        _ => Err(message.unexpected({name:?})),
                    }}
                }}
            }}",
        );
    }

    fn table(&self, code: &mut String, table: &str, other: &str, about: &str, messages: &[(&Entry, &Wire)]) {
        let rt = self.runtime;
        let each = |write: &dyn Fn(&str, &str, &Entry, &Wire) -> String| -> String {
            messages.iter().map(|(entry, wire)| write(&variant(entry), &self.path(entry), entry, wire)).collect()
        };
        let variants = each(&|variant, ty, _, wire| format!("/// Opcode {}.\n {variant}({ty}),\n", wire.opcode));
        let known = each(&|_, _, entry, wire| format!("({}, {:?}),", wire.opcode, entry.message.name()));
        let decode = each(&|variant, _, _, wire| {
            format!("{} => Self::{variant}({rt}::protobuf::prost::Message::decode(body)?),", wire.opcode)
        });
        let len = each(&|variant, _, _, _| {
            format!("Self::{variant}(message) => {rt}::protobuf::prost::Message::encoded_len(message),")
        });
        let encode = each(&|variant, _, _, _| {
            format!("Self::{variant}(message) => {rt}::protobuf::prost::Message::encode_raw(message, out),")
        });
        let channels = each(&|variant, _, _, wire| {
            let channel = ["ORDERED", "UNORDERED", "SEQUENCED", "UNRELIABLE"];
            match usize::try_from(wire.channel).ok().and_then(|channel_no| channel.get(channel_no)) {
                Some(channel) if wire.channel != 0 => format!("Self::{variant}(_) => {rt}::Channel::{channel},"),
                _ => String::new(),
            }
        });
        let errors = each(&|variant, _, _, wire| {
            if wire.error { format!("Self::{variant}(error) => Ok(error.into()),") } else { String::new() }
        });
        let _ = write!(
            code,
            "/// {about}, by opcode. Made by `loadkit-build` from the schema.
            #[derive(Clone, Debug, PartialEq)]
            #[allow(clippy::large_enum_variant)] // A box would be an allocation for each message.
            pub enum {table} {{
                {variants}
                /// An opcode that the schema does not know, with the body as it came.
                Unknown({rt}::Bytes),
            }}
            #[allow(clippy::all)]
            impl {rt}::protobuf::Opcodes for {table} {{
                type Out = {other};
                const MESSAGES: &'static [(u32, &'static str)] = &[{known}];
                fn decode(opcode: u32, body: &[u8]) -> Result<Self, {rt}::protobuf::prost::DecodeError> {{
                    Ok(match opcode {{
                        {decode}
                        _ => Self::Unknown({rt}::Bytes::copy_from_slice(body)),
                    }})
                }}
                fn encoded_len(&self) -> usize {{
                    match self {{
                        {len}
                        Self::Unknown(body) => body.len(),
                    }}
                }}
                fn encode(&self, out: &mut Vec<u8>) {{
                    match self {{
                        {encode}
                        Self::Unknown(body) => out.extend_from_slice(body),
                    }}
                }}
                fn channel(&self) -> {rt}::Channel {{
                    match self {{
                        {channels}
                        _ => {rt}::Channel::ORDERED,
                    }}
                }}
                fn is_unknown(&self) -> bool {{
                    matches!(self, Self::Unknown(_))
                }}
                fn into_error(self) -> Result<{rt}::protobuf::Failure, Self> {{
                    match self {{
                        {errors}
                        other => Err(other),
                    }}
                }}
            }}",
        );
    }
}

/// The variant of a message in its table.
pub(crate) fn variant(entry: &Entry) -> String {
    names::type_name(entry.message.name())
}
