//! The form of a field: what stands in `#[bits(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Expr, ExprLit, ExprRange, Ident, Lit, LitInt, RangeLimits, Result, Token, parenthesized};

use crate::attributes::bits;

const NAMES: [&str; 11] =
    ["varint", "relative", "quantised", "clamped", "quaternion", "string", "bytes", "list", "each", "option", "with"];

/// A form in bits.
pub(crate) enum Coding {
    Whole,
    Range(ExprRange),
    Fixed(LitInt),
    Varint,
    Relative(LitInt, Option<ExprRange>),
    Quantised { range: ExprRange, resolution: Expr, clamped: bool },
    Quaternion(LitInt),
    Text(Expr),
    Blob(Expr),
    List(Expr, Box<Coding>),
    Each(Box<Coding>),
    Maybe(Box<Coding>),
    With(Expr),
}

impl Coding {
    /// The form that the attributes of a field name.
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Coding> {
        let mut found = None;
        for attribute in bits(attributes) {
            if found.is_some() {
                return Err(Error::new_spanned(attribute, "a field has one form in bits, and here is a second"));
            }
            found = Some(attribute.parse_args()?);
        }
        Ok(found.unwrap_or(Coding::Whole))
    }

    /// An expression whose type implements `Coding`; `krate` is the path of the module `bits`.
    pub(crate) fn expression(&self, krate: &TokenStream) -> TokenStream {
        match self {
            Coding::Whole => quote!(#krate::Whole),
            Coding::Range(range) => quote!((#range)),
            Coding::Fixed(n) => quote!(#krate::Fixed(#n)),
            Coding::Varint => quote!(#krate::Varint),
            Coding::Relative(n, None) => quote!(#krate::Relative::new(#n)),
            Coding::Relative(n, Some(range)) => quote!(#krate::Relative::within(#n, #range)),
            Coding::Quantised { range, resolution, clamped } => {
                let (start, end) = (&range.start, &range.end);
                let clamped = clamped.then(|| quote!(.clamped()));
                // A constant, so that a range that is none is an error of the compiler.
                quote!(const { #krate::Quantised::new((#start) as f64, (#end) as f64, (#resolution) as f64) #clamped })
            }
            Coding::Quaternion(n) => quote!(#krate::Quaternion(#n)),
            Coding::Text(max) => quote!(#krate::Text(#max)),
            Coding::Blob(max) => quote!(#krate::Blob(#max)),
            Coding::List(max, each) => {
                let each = each.expression(krate);
                quote!(#krate::List { max: #max, each: #each })
            }
            Coding::Each(each) => {
                let each = each.expression(krate);
                quote!(#krate::Each(#each))
            }
            Coding::Maybe(value) => {
                let value = value.expression(krate);
                quote!(#krate::Maybe(#value))
            }
            Coding::With(expr) => quote!((#expr)),
        }
    }
}

impl Parse for Coding {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Option<Ident> = input.fork().parse().ok();
        match name {
            Some(name) if NAMES.iter().any(|known| name == *known) => {
                input.parse::<Ident>()?;
                named(&name, input)
            }
            _ => plain(input),
        }
    }
}

/// A range or a number of bits.
fn plain(input: ParseStream<'_>) -> Result<Coding> {
    match input.parse::<Expr>()? {
        Expr::Range(range) => closed(range).map(Coding::Range),
        Expr::Lit(ExprLit { lit: Lit::Int(n), .. }) => within(n, 1, 64).map(Coding::Fixed),
        other => {
            let names = NAMES.join(", ");
            let what = format!("no form in bits: write a range `0..=9`, a number of bits, or one of {names}");
            Err(Error::new_spanned(other, what))
        }
    }
}

/// What follows after a name.
fn named(name: &Ident, input: ParseStream<'_>) -> Result<Coding> {
    if name == "varint" {
        return Ok(Coding::Varint);
    }
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(name.span(), format!("`{name}` has arguments: `{}`", example(name))));
    }
    let inner;
    parenthesized!(inner in input);
    let inner = &inner;
    let coding = match name.to_string().as_str() {
        "relative" => {
            let n = within(inner.parse()?, 1, 63)?;
            Coding::Relative(n, if comma(inner)? { Some(range(inner)?) } else { None })
        }
        "quantised" | "clamped" => {
            let range = range(inner)?;
            if !comma(inner)? {
                return Err(inner.error(format!("the resolution is missing: `{}`", example(name))));
            }
            Coding::Quantised { range, resolution: inner.parse()?, clamped: name == "clamped" }
        }
        "quaternion" => Coding::Quaternion(within(inner.parse()?, 2, 20)?),
        "string" => Coding::Text(inner.parse()?),
        "bytes" => Coding::Blob(inner.parse()?),
        "list" => {
            let max = inner.parse()?;
            Coding::List(max, Box::new(if comma(inner)? { inner.parse()? } else { Coding::Whole }))
        }
        "each" => Coding::Each(Box::new(inner.parse()?)),
        "option" => Coding::Maybe(Box::new(inner.parse()?)),
        _ => Coding::With(inner.parse()?),
    };
    comma(inner)?;
    if inner.is_empty() { Ok(coding) } else { Err(inner.error(format!("too much: `{}`", example(name)))) }
}

fn example(name: &Ident) -> &'static str {
    match name.to_string().as_str() {
        "relative" => "relative(6)",
        "quantised" => "quantised(-1.0..=1.0, 0.01)",
        "clamped" => "clamped(-1.0..=1.0, 0.01)",
        "quaternion" => "quaternion(10)",
        "string" => "string(32)",
        "bytes" => "bytes(512)",
        "list" => "list(64)",
        "each" => "each(0..=9)",
        "option" => "option(0..=9)",
        _ => "with(MINE)",
    }
}

/// Whether a comma and something behind it follow.
fn comma(input: ParseStream<'_>) -> Result<bool> {
    if input.is_empty() {
        return Ok(false);
    }
    input.parse::<Token![,]>()?;
    Ok(!input.is_empty())
}

fn range(input: ParseStream<'_>) -> Result<ExprRange> {
    match input.parse::<Expr>()? {
        Expr::Range(range) => closed(range),
        other => Err(Error::new_spanned(other, "a range such as `0..=9` must stand here")),
    }
}

/// A range with both ends, the last included: `0..10` of floats has no end that could be sent.
fn closed(range: ExprRange) -> Result<ExprRange> {
    let is_closed = range.start.is_some() && range.end.is_some() && matches!(range.limits, RangeLimits::Closed(_));
    if is_closed { Ok(range) } else { Err(Error::new_spanned(range, "a range has both of its ends: `0..=9`")) }
}

fn within(n: LitInt, least: u32, most: u32) -> Result<LitInt> {
    match n.base10_parse::<u32>() {
        Ok(value) if (least..=most).contains(&value) => Ok(n),
        _ => Err(Error::new(n.span(), format!("{least} to {most} bits can stand here"))),
    }
}
