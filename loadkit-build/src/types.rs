//! `"Paged<Outcome<T, Refused>>" -> Type`: what stands in the options `of`, `alias` and `params`.

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::names;
use crate::schema::{Ext, Options};

/// A type: a parameter of the message in which it is named, or a message with its type arguments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Param(String),
    Message(MessageDescriptor, Vec<Type>),
}

/// Where a type is named.
pub(crate) struct Scope<'a> {
    pub(crate) pool: &'a DescriptorPool,
    pub(crate) options: &'a Options,
    /// The message in which, or beside which, it is named.
    pub(crate) message: &'a MessageDescriptor,
    /// The type parameters that are known there.
    pub(crate) params: &'a [String],
}

/// Types in each other, at most.
const MAX_DEPTH: usize = 16;

impl Type {
    /// Reads a type, and looks its names up.
    pub(crate) fn read(text: &str, scope: &Scope<'_>) -> Result<Type, String> {
        let mut rest = text;
        let read = Type::read_one(&mut rest, scope, 0).map_err(|why| format!("\"{text}\": {why}"))?;
        if rest.trim().is_empty() { Ok(read) } else { Err(format!("\"{text}\": `{}` is too much", rest.trim())) }
    }

    fn read_one(rest: &mut &str, scope: &Scope<'_>, depth: usize) -> Result<Type, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} types in each other"));
        }
        let text = rest.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        *rest = after.trim_start();
        if name.is_empty() {
            return Err("a type's name is missing".to_owned());
        }
        let mut args = Vec::new();
        if let Some(after) = rest.strip_prefix('<') {
            *rest = after;
            loop {
                args.push(Type::read_one(rest, scope, depth + 1)?);
                let next = rest.chars().next();
                *rest =
                    rest.get(1..).filter(|_| matches!(next, Some(',' | '>'))).ok_or("a `>` is missing")?.trim_start();
                if next == Some('>') {
                    break;
                }
            }
        }
        if scope.params.iter().any(|param| param == name) {
            return if args.is_empty() {
                Ok(Type::Param(name.to_owned()))
            } else {
                Err(format!("{name} takes no types"))
            };
        }
        let message = scope.find(name).ok_or_else(|| scope.unknown(name))?;
        let params = scope.options.params(&message);
        if params.len() != args.len() {
            let takes = match params.len() {
                0 => "takes no types".to_owned(),
                n => format!("takes {n} (`{}`)", params.join(", ")),
            };
            return Err(format!("{} {takes}, and got {}", message.full_name(), args.len()));
        }
        Ok(Type::Message(message, args))
    }

    /// As Rust, from a place `depth` modules deep in the file of `package`.
    pub(crate) fn rust(&self, package: &str, depth: usize, runtime: &str) -> String {
        match self {
            Type::Param(name) => name.clone(),
            Type::Message(message, args) => {
                let path = names::path(message, package, depth, runtime);
                let args: Vec<String> = args.iter().map(|arg| arg.rust(package, depth, runtime)).collect();
                if args.is_empty() { path } else { format!("{path}<{}>", args.join(", ")) }
            }
        }
    }

    /// Whether the parameter occurs in it.
    pub(crate) fn uses(&self, param: &str) -> bool {
        match self {
            Type::Param(name) => name == param,
            Type::Message(_, args) => args.iter().any(|arg| arg.uses(param)),
        }
    }
}

impl Scope<'_> {
    /// Looks a message up as Protobuf does: from the innermost place outwards; and at last among our own.
    pub(crate) fn find(&self, name: &str) -> Option<MessageDescriptor> {
        if let Some(absolute) = name.strip_prefix('.') {
            return self.pool.get_message_by_name(absolute);
        }
        let mut place = self.message.full_name();
        loop {
            if let Some(found) = self.pool.get_message_by_name(&format!("{place}.{name}")) {
                return Some(found);
            }
            match place.rsplit_once('.') {
                Some((outer, _)) => place = outer,
                None => break,
            }
        }
        let ours = format!("{}.{name}", names::OURS);
        self.pool.get_message_by_name(name).or_else(|| self.pool.get_message_by_name(&ours))
    }

    fn unknown(&self, name: &str) -> String {
        match self.params {
            [] => format!("there is no message `{name}`"),
            params => format!("`{name}` is neither a message nor one of the type parameters `{}`", params.join(", ")),
        }
    }
}

impl Options {
    /// A message's type parameters.
    pub(crate) fn params(&self, message: &MessageDescriptor) -> Vec<String> {
        let text = self.text(&message.options(), Ext::Params).unwrap_or_default();
        text.split(',').map(|param| param.trim().to_owned()).filter(|param| !param.is_empty()).collect()
    }
}
