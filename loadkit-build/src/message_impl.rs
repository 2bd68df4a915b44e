//! `impl Message` written out, for what a derived one cannot do.
//!
//! A derived message writes every message field that it has. A field of `bytes` without presence is left out when it
//! is empty, and byte for byte that makes the difference.

use syn::{Fields, ItemStruct};

use crate::edit::argument;
use crate::error::Error;

/// A field, as its `#[prost(…)]` attribute describes it.
struct Field {
    name: String,
    /// The module of `prost::encoding`.
    module: String,
    shape: Shape,
    tags: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// A scalar without presence: its default is left out.
    Scalar,
    /// A message without presence: what encodes to nothing is left out.
    Bare,
    Optional,
    Repeated,
    Packed,
    Oneof,
}

/// Makes the named fields bare, takes the struct's derived `Message` away, and writes it out.
pub(crate) fn written_out(its_struct: &mut ItemStruct, bare: &[String], prost: &str) -> Result<String, Error> {
    let mut fields = Vec::new();
    let Fields::Named(named) = &mut its_struct.fields else { return Ok(String::new()) };
    for own in &mut named.named {
        let mut field = read(own)?;
        if bare.contains(&field.name) {
            own.ty = argument(&own.ty).cloned().ok_or_else(|| unclear(&field.name))?;
            field.shape = Shape::Bare;
        }
        own.attrs.retain(|attr| !attr.path().is_ident("prost"));
        fields.push(field);
    }
    fields.sort_by_key(|field| field.tags.iter().min().copied());
    its_struct.attrs.retain(|attr| !attr.path().is_ident("prost"));
    for attr in its_struct.attrs.iter_mut().filter(|attr| attr.path().is_ident("derive")) {
        *attr = syn::parse_quote!(#[derive(Clone, PartialEq, Debug, Default)]);
    }
    let encode = |field: &Field| field.encode(prost);
    let len = |field: &Field| field.encoded_len(prost);
    let merge = |field: &Field| field.merge(prost);
    let all = |write: &dyn Fn(&Field) -> String| fields.iter().map(write).collect::<String>();
    let name = its_struct.ident.to_string();
    let (declared, arguments) = generics(its_struct, prost);
    Ok(message(
        &format!("impl<{declared}> {prost}::Message for {name}<{arguments}>"),
        prost,
        &all(&encode),
        &format!("match tag {{ {} _ => {prost}::encoding::skip_field(wire_type, tag, buf, ctx), }}", all(&merge)),
        &format!("0 {}", all(&len)),
    ))
}

/// For a struct around another message.
pub(crate) fn delegated(name: &str, prost: &str) -> String {
    message(
        &format!("impl {prost}::Message for {name}"),
        prost,
        "self.0.encode_raw(buf)",
        "self.0.merge_field(tag, wire_type, buf, ctx)",
        "self.0.encoded_len()",
    )
}

fn message(head: &str, prost: &str, encode: &str, merge: &str, len: &str) -> String {
    format!(
        "#[allow(clippy::all)]
        {head} {{
            fn encode_raw(&self, buf: &mut impl {prost}::bytes::BufMut) {{ {encode} }}
            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: {prost}::encoding::WireType,
                buf: &mut impl {prost}::bytes::Buf,
                ctx: {prost}::encoding::DecodeContext,
            ) -> ::core::result::Result<(), {prost}::DecodeError> {{ {merge} }}
            fn encoded_len(&self) -> usize {{ {len} }}
            fn clear(&mut self) {{ *self = ::core::default::Default::default(); }}
        }}"
    )
}

/// The type parameters as they are declared, and as they are named.
fn generics(its_struct: &ItemStruct, prost: &str) -> (String, String) {
    let names: Vec<String> = its_struct.generics.type_params().map(|param| param.ident.to_string()).collect();
    let declared = names.iter().map(|name| format!("{name}: {prost}::Message + ::core::default::Default,")).collect();
    (declared, names.join(", "))
}

impl Field {
    fn encode(&self, prost: &str) -> String {
        let Field { name, module, .. } = self;
        let tag = self.tag();
        let path = format!("{prost}::encoding::{module}");
        match self.shape {
            Shape::Scalar | Shape::Bare => {
                format!("if {} {{ {path}::encode({tag}, &self.{name}, buf); }}", self.is_set(prost))
            }
            Shape::Optional => {
                format!(
                    "if let ::core::option::Option::Some(value) = &self.{name} {{ {path}::encode({tag}, value, buf); }}"
                )
            }
            Shape::Repeated => format!("{path}::encode_repeated({tag}, &self.{name}, buf);"),
            Shape::Packed => format!("{path}::encode_packed({tag}, &self.{name}, buf);"),
            Shape::Oneof => {
                format!("if let ::core::option::Option::Some(value) = &self.{name} {{ value.encode(buf); }}")
            }
        }
    }

    fn encoded_len(&self, prost: &str) -> String {
        let Field { name, module, .. } = self;
        let tag = self.tag();
        let path = format!("{prost}::encoding::{module}");
        match self.shape {
            Shape::Scalar | Shape::Bare => {
                format!("+ if {} {{ {path}::encoded_len({tag}, &self.{name}) }} else {{ 0 }}", self.is_set(prost))
            }
            Shape::Optional => {
                format!("+ self.{name}.as_ref().map_or(0, |value| {path}::encoded_len({tag}, value))")
            }
            Shape::Repeated => format!("+ {path}::encoded_len_repeated({tag}, &self.{name})"),
            Shape::Packed => format!("+ {path}::encoded_len_packed({tag}, &self.{name})"),
            Shape::Oneof => format!("+ self.{name}.as_ref().map_or(0, |value| value.encoded_len())"),
        }
    }

    fn merge(&self, prost: &str) -> String {
        let Field { name, module, .. } = self;
        let path = format!("{prost}::encoding::{module}");
        let tags: Vec<String> = self.tags.iter().map(u32::to_string).collect();
        let how = match self.shape {
            Shape::Scalar => format!("{path}::merge(wire_type, &mut self.{name}, buf, ctx)"),
            // Of bytes the last ones hold; of messages all would be joined.
            Shape::Bare => format!(
                "{{ self.{name} = ::core::default::Default::default(); \
                 {path}::merge(wire_type, &mut self.{name}, buf, ctx) }}"
            ),
            Shape::Optional => format!(
                "{path}::merge(wire_type, self.{name}.get_or_insert_with(::core::default::Default::default), buf, ctx)"
            ),
            Shape::Repeated | Shape::Packed => {
                format!("{path}::merge_repeated(wire_type, &mut self.{name}, buf, ctx)")
            }
            Shape::Oneof => format!("{module}::merge(&mut self.{name}, tag, wire_type, buf, ctx)"),
        };
        format!("{} => {how},", tags.join(" | "))
    }

    /// Whether it is written at all, of a field without presence.
    fn is_set(&self, prost: &str) -> String {
        let name = &self.name;
        match (self.shape, self.module.as_str()) {
            (Shape::Bare, _) => format!("{prost}::Message::encoded_len(&self.{name}) > 0"),
            (_, "string" | "bytes") => format!("!self.{name}.is_empty()"),
            (_, "bool") => format!("self.{name}"),
            // A negative zero is none.
            (_, "float" | "double") => format!("self.{name}.to_bits() != 0"),
            _ => format!("self.{name} != 0"),
        }
    }

    fn tag(&self) -> u32 {
        self.tags.first().copied().unwrap_or_default()
    }
}

/// Reads what prost-build has written for prost-derive.
fn read(field: &syn::Field) -> Result<Field, Error> {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let (mut module, mut shape, mut tags, mut packed) = (None, Shape::Scalar, Vec::new(), true);
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("prost")) {
        attr.parse_nested_meta(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let value = if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::LitStr>()?.value()
            } else {
                String::new()
            };
            match key.as_str() {
                "tag" | "tags" => tags = value.split(',').filter_map(|tag| tag.trim().parse().ok()).collect(),
                "optional" => shape = Shape::Optional,
                "repeated" => shape = Shape::Repeated,
                "packed" => packed = value != "false",
                "boxed" => {}
                "oneof" => (module, shape) = (Some(value), Shape::Oneof),
                "enumeration" => module = Some("int32".to_owned()),
                _ => module = Some(key),
            }
            Ok(())
        })?;
    }
    let module = module.filter(|_| !tags.is_empty()).ok_or_else(|| unclear(&name))?;
    if shape == Shape::Repeated && packed && !matches!(module.as_str(), "message" | "string" | "bytes") {
        shape = Shape::Packed;
    }
    Ok(Field { name, module, shape, tags })
}

fn unclear(name: &str) -> Error {
    Error::Generated(format!("how the field {name} is to be encoded is not clear"))
}
