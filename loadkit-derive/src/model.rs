//! A struct or an enum as the generated code needs it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Fields, GenericParam, Ident, Result, Type};

use crate::attributes::{OfType, tag};
use crate::coding::Coding;

pub(crate) struct Model {
    /// The path of the module `bits`.
    pub(crate) bits: TokenStream,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Struct(Body),
    Enum {
        /// Bits of the tag.
        width: u32,
        variants: Vec<Variant>,
    },
}

pub(crate) struct Variant {
    pub(crate) tag: u64,
    pub(crate) body: Body,
}

/// A struct, or a variant.
pub(crate) struct Body {
    /// `Self` or `Self::Variant`.
    pub(crate) path: TokenStream,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    /// As it stands before the colon in a pattern: a name, or a number.
    pub(crate) member: syn::Member,
    pub(crate) ty: Type,
    pub(crate) coding: Coding,
    /// For people: `Move.x`.
    pub(crate) label: String,
}

impl Model {
    pub(crate) fn read(input: &DeriveInput) -> Result<Model> {
        if let Some(GenericParam::Lifetime(lifetime)) =
            input.generics.params.iter().find(|param| matches!(param, GenericParam::Lifetime(_)))
        {
            return Err(Error::new_spanned(lifetime, "what is read from bits cannot borrow: use an owned type"));
        }
        let of_type = OfType::read(&input.attrs, matches!(input.data, Data::Enum(_)))?;
        let bits = match &of_type.path {
            Some(path) => quote!(#path::bits),
            None => quote!(::loadkit::transport::bits),
        };
        let shape = match &input.data {
            Data::Struct(data) => Shape::Struct(Body::read(quote!(Self), &input.ident.to_string(), &data.fields)?),
            Data::Enum(data) => variants(&input.ident, data, &of_type)?,
            Data::Union(_) => {
                return Err(Error::new_spanned(&input.ident, "a union does not say which of its fields is there"));
            }
        };
        Ok(Model { bits, shape })
    }
}

fn variants(name: &Ident, data: &DataEnum, of_type: &OfType) -> Result<Shape> {
    let mut variants: Vec<Variant> = Vec::new();
    let mut next = Some(0);
    for variant in &data.variants {
        let (value, span) = match tag(&variant.attrs)? {
            Some(literal) => (literal.base10_parse::<u64>()?, literal.span()),
            None => (next.ok_or_else(|| too_many(variant.ident.span()))?, variant.ident.span()),
        };
        if let Some(other) = variants.iter().find(|other| other.tag == value) {
            let other = other.body.path.to_string().replace("Self :: ", "");
            return Err(Error::new(span, format!("`{}` has the tag {value}, and so has `{other}`", variant.ident)));
        }
        next = value.checked_add(1);
        let path = &variant.ident;
        let body = Body::read(quote!(Self::#path), &format!("{name}::{path}"), &variant.fields)?;
        variants.push(Variant { tag: value, body });
    }
    let Some(greatest) = variants.iter().map(|variant| variant.tag).max() else {
        return Err(Error::new(name.span(), "an enum without variants has no values to send"));
    };
    let least = 64 - greatest.leading_zeros();
    let width = match &of_type.tag {
        None => least,
        Some(literal) => match literal.base10_parse::<u32>() {
            Ok(width) if (least..=64).contains(&width) => width,
            _ => {
                let what = format!("the tags up to {greatest} need {least} to 64 bits");
                return Err(Error::new(literal.span(), what));
            }
        },
    };
    Ok(Shape::Enum { width, variants })
}

fn too_many(span: Span) -> Error {
    Error::new(span, "the variant before has the greatest tag that there is")
}

impl Body {
    fn read(path: TokenStream, owner: &str, fields: &Fields) -> Result<Body> {
        let mut errors: Option<Error> = None;
        let mut read = Vec::new();
        for (member, field) in fields.members().zip(fields) {
            let name = match &member {
                syn::Member::Named(name) => name.to_string(),
                syn::Member::Unnamed(index) => index.index.to_string(),
            };
            match Coding::of(&field.attrs) {
                Ok(coding) => {
                    let label = format!("{owner}.{name}");
                    read.push(Field { member, ty: field.ty.clone(), coding, label });
                }
                // All of them at once, each at its place.
                Err(error) => match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                },
            }
        }
        errors.map_or(Ok(Body { path, fields: read }), Err)
    }

    /// `Self::Variant { x: v0, y: v1 }`, with a prefix for the names.
    pub(crate) fn pattern(&self, prefix: &str) -> TokenStream {
        let path = &self.path;
        let fields = self.fields.iter().enumerate().map(|(at, field)| {
            let (member, name) = (&field.member, binding(prefix, at));
            quote!(#member: #name)
        });
        quote!(#path { #(#fields),* })
    }
}

/// The name of a field in the generated code, which nobody else uses.
pub(crate) fn binding(prefix: &str, at: usize) -> Ident {
    format_ident!("__{prefix}{at}")
}
