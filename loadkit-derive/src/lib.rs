//! `#[derive(Packed)]`: a type's fields to bits and back, each in the form that its `#[bits(…)]` names.

mod attributes;
mod coding;
mod expand;
mod model;

use proc_macro::TokenStream;

/// Implements `Packed` for a struct or an enum: its fields one after another.
///
/// A field has the form that `#[bits(…)]` names, or without it that of its type:
///
/// | form | of | bits |
/// |---|---|---|
/// | `0..=1023`, `MIN..=MAX` | integers | the least for the range |
/// | `5` | integers | so many |
/// | `varint` | integers | 7-bit groups; signed ones in zig-zag form |
/// | `relative(6)`, `relative(6, 0..=1023)` | integers | in a delta: small changes in so many |
/// | `quantised(-1.0..=1.0, 0.01)` | `f32`, `f64` | the least for the range at that resolution |
/// | `clamped(-1.0..=1.0, 0.01)` | `f32`, `f64` | the same; what is outside is moved to the nearest end |
/// | `quaternion(10)` | `[f32; 4]` | so many for each of the smallest three, and 2 |
/// | `string(32)` | `String` | of at most so many bytes |
/// | `bytes(512)` | `Vec<u8>` | at most so many |
/// | `list(64)`, `list(64, 0..=9)` | `Vec<T>` | at most so many elements, of that form |
/// | `each(0..=9)` | `[T; N]` | every element in that form |
/// | `option(0..=9)` | `Option<T>` | a bit, and the value in that form |
/// | `with(MINE)` | anything | by a value whose type implements `Coding` for it |
///
/// The variants of an enum have tags, from 0 on or where `#[bits(tag = 7)]` at a variant says, in the least bits for
/// the greatest or in as many as `#[bits(tag = 8)]` at the enum says. To add a variant may widen the tag of an enum
/// that does not say.
///
/// `#[bits(crate = loadkit_transport)]` at the type is for who uses that crate without `loadkit`.
#[proc_macro_derive(Packed, attributes(bits))]
pub fn packed(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::packed(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
