//! What prost-build cannot say: type parameters, aliases, and bytes without presence.

use std::mem;

use prost_reflect::{Cardinality, FieldDescriptor, Kind};
use syn::{Attribute, Fields, Item, ItemEnum, ItemMod, ItemStruct, parse_quote, parse_str};

use crate::error::Error;
use crate::generate::INNER;
use crate::message_impl;
use crate::names;
use crate::schema::Entry;

/// Whether the field is left out when its bytes are empty.
pub(crate) fn is_bare(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::Bytes && field.cardinality() == Cardinality::Optional && !field.supports_presence()
}

/// Makes the message, among the items of its package, what it is.
pub(crate) fn edit(items: &mut Vec<Item>, entry: &Entry, prost: &str) -> Result<(), Error> {
    let is_plain = entry.params.is_empty() && entry.alias.is_none();
    if is_plain && !entry.fields.iter().any(|(field, _)| is_bare(field)) {
        return Ok(());
    }
    let mut items = items;
    for parent in names::parents(&entry.message) {
        items = module(items, &names::snake(&parent))?;
    }
    let name = names::type_name(entry.message.name());
    let parameters = Parameters { names: &entry.params, prost };
    if entry.alias.is_some() {
        let at = struct_at(items, &name)?;
        *at = alias(at)?;
        let more = message_impl::delegated(&name, prost);
        items.extend(syn::parse_file(&more)?.items);
        return Ok(());
    }
    for oneof in entry.message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let uses = |param: &&String| {
            entry.fields.iter().any(|(field, of)| field.containing_oneof().as_ref() == Some(&oneof) && of.uses(param))
        };
        let params: Vec<String> = entry.params.iter().filter(uses).cloned().collect();
        let inner = names::snake(entry.message.name());
        let oneof_name = names::type_name(oneof.name());
        let its_enum = enum_at(module(items, &inner)?, &oneof_name)?;
        derive_debug(&mut its_enum.attrs, prost, "Oneof")?;
        if !params.is_empty() {
            its_enum.generics = Parameters { names: &params, prost }.declared()?;
            let path = format!("{inner}::{oneof_name}");
            name_arguments(struct_at(items, &name)?, &names::snake(oneof.name()), &path, &params)?;
        }
    }
    let its_struct = struct_at(items, &name)?;
    its_struct.generics = parameters.declared()?;
    derive_debug(&mut its_struct.attrs, prost, "Message")?;
    let bare: Vec<String> =
        entry.fields.iter().filter(|(field, _)| is_bare(field)).map(|(field, _)| names::snake(field.name())).collect();
    if !bare.is_empty() {
        let more = message_impl::written_out(its_struct, &bare, prost)?;
        items.extend(syn::parse_file(&more)?.items);
    }
    Ok(())
}

/// The type parameters of a message.
struct Parameters<'a> {
    names: &'a [String],
    prost: &'a str,
}

impl Parameters<'_> {
    fn declared(&self) -> Result<syn::Generics, Error> {
        let bound = format!("{}::Message + ::core::default::Default", self.prost);
        let all: Vec<String> = self.names.iter().map(|name| format!("{name}: {bound}")).collect();
        let text = if all.is_empty() { String::new() } else { format!("<{}>", all.join(", ")) };
        Ok(parse_str(&text)?)
    }
}

/// `struct Name(pub Inner)`, from a struct whose one field is an `Option<Inner>`.
fn alias(of: &ItemStruct) -> Result<ItemStruct, Error> {
    let field = of.fields.iter().find(|field| field.ident.as_ref().is_some_and(|name| name == INNER));
    let inner = field.and_then(|field| argument(&field.ty)).ok_or_else(|| missing("field", INNER))?;
    let (docs, name) = (of.attrs.iter().filter(|attr| attr.path().is_ident("doc")), &of.ident);
    let mut alias: ItemStruct = parse_quote! {
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct #name(
            /// What it is.
            pub #inner
        );
    };
    alias.attrs = docs.cloned().chain(mem::take(&mut alias.attrs)).collect();
    Ok(alias)
}

/// The argument of a type that has one: `T` of `Option<T>`.
pub(crate) fn argument(ty: &syn::Type) -> Option<&syn::Type> {
    let syn::Type::Path(path) = ty else { return None };
    let syn::PathArguments::AngleBracketed(args) = &path.path.segments.last()?.arguments else { return None };
    args.args.iter().find_map(|arg| if let syn::GenericArgument::Type(ty) = arg { Some(ty) } else { None })
}

/// Makes a oneof's field `Option<inner::Either<T>>`. In the attribute a turbofish is needed.
fn name_arguments(its_struct: &mut ItemStruct, field: &str, path: &str, params: &[String]) -> Result<(), Error> {
    let Fields::Named(fields) = &mut its_struct.fields else { return Err(missing("field", field)) };
    let found = fields.named.iter_mut().find(|own| own.ident.as_ref().is_some_and(|name| name == field));
    let found = found.ok_or_else(|| missing("field", field))?;
    let params = params.join(", ");
    found.ty = parse_str(&format!("::core::option::Option<{path}<{params}>>"))?;
    for attr in found.attrs.iter_mut().filter(|attr| attr.path().is_ident("prost")) {
        let syn::Meta::List(list) = &mut attr.meta else { continue };
        let text = list.tokens.to_string().replace(&format!("\"{path}\""), &format!("\"{path}::<{params}>\""));
        list.tokens = parse_str(&text)?;
    }
    Ok(())
}

/// `Message` asks for no `Debug` of a type parameter, so prost's own, which is there without a condition, does not fit.
fn derive_debug(attrs: &mut Vec<Attribute>, prost: &str, of: &str) -> Result<(), Error> {
    let derive = attrs.iter_mut().find(|attr| attr.path().is_ident("derive")).ok_or_else(|| missing("derive", of))?;
    let path: syn::Path = parse_str(&format!("{prost}::{of}"))?;
    *derive = parse_quote!(#[derive(Clone, PartialEq, Debug, #path)]);
    attrs.push(parse_quote!(#[prost(skip_debug)]));
    Ok(())
}

fn module<'a>(items: &'a mut [Item], name: &str) -> Result<&'a mut Vec<Item>, Error> {
    let found = items.iter_mut().find_map(|item| match item {
        Item::Mod(ItemMod { ident, content: Some((_, items)), .. }) if ident == name => Some(items),
        _ => None,
    });
    found.ok_or_else(|| missing("module", name))
}

fn struct_at<'a>(items: &'a mut [Item], name: &str) -> Result<&'a mut ItemStruct, Error> {
    let found = items.iter_mut().find_map(|item| match item {
        Item::Struct(found) if found.ident == name => Some(found),
        _ => None,
    });
    found.ok_or_else(|| missing("struct", name))
}

fn enum_at<'a>(items: &'a mut [Item], name: &str) -> Result<&'a mut ItemEnum, Error> {
    let found = items.iter_mut().find_map(|item| match item {
        Item::Enum(found) if found.ident == name => Some(found),
        _ => None,
    });
    found.ok_or_else(|| missing("enum", name))
}

fn missing(what: &str, name: &str) -> Error {
    Error::Generated(format!("prost-build made no {what} {name}"))
}
