//! How names of a schema are written in Rust: as prost-build writes them.

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_reflect::MessageDescriptor;

/// The package of the files that come with this crate.
pub(crate) const OURS: &str = "lk";

/// A message's or a oneof's name as that of a type.
pub(crate) fn type_name(name: &str) -> String {
    identifier(name.to_upper_camel_case())
}

/// A message's, field's or package's name as that of a module or a field.
pub(crate) fn snake(name: &str) -> String {
    identifier(name.to_snake_case())
}

fn identifier(name: String) -> String {
    match name.as_str() {
        "_" | "super" | "self" | "Self" | "extern" | "crate" => format!("{name}_"),
        // All other keywords may be raw identifiers; what is none is not refused.
        _ if syn::parse_str::<syn::Ident>(&name).is_err() && !name.starts_with(char::is_numeric) => {
            format!("r#{name}")
        }
        _ if name.starts_with(char::is_numeric) => format!("_{name}"),
        _ => name,
    }
}

/// The names of the messages in which a message is declared, from the outermost.
pub(crate) fn parents(message: &MessageDescriptor) -> Vec<String> {
    let mut parents: Vec<String> = std::iter::successors(message.parent_message(), MessageDescriptor::parent_message)
        .map(|parent| parent.name().to_owned())
        .collect();
    parents.reverse();
    parents
}

/// The path of a message from a place `depth` modules deep in the file of `package`.
pub(crate) fn path(message: &MessageDescriptor, package: &str, depth: usize, runtime: &str) -> String {
    let name = type_name(message.name());
    let parents = parents(message);
    let inner = parents.iter().map(|parent| snake(parent)).chain([name]);
    match message.package_name() {
        OURS => format!("{runtime}::protobuf::{}", inner.collect::<Vec<_>>().join("::")),
        "google.protobuf" => format!("::prost_types::{}", inner.collect::<Vec<_>>().join("::")),
        other => {
            // Packages are modules within modules, as prost-build has it.
            let (here, there) = (parts(package), parts(other));
            let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
            let up = std::iter::repeat_n("super".to_owned(), here.len() - common + depth);
            let down = there.into_iter().skip(common).map(snake);
            up.chain(down).chain(inner).collect::<Vec<_>>().join("::")
        }
    }
}

fn parts(package: &str) -> Vec<&str> {
    package.split('.').filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_escaped_as_prost_build_does_it() {
        assert_eq!([snake("match"), snake("MoveFast"), snake("self")], ["r#match", "move_fast", "self_"]);
        assert_eq!([type_name("HTTPPage"), type_name("Self"), type_name("3d")], ["HttpPage", "Self_", "_3d"]);
    }
}
