//! `#[bits(key = value, …)]` of types and variants.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Ident, LitInt, Path, Result, Token};

/// What stands at a type.
#[derive(Default)]
pub(crate) struct OfType {
    /// The crate whose `bits` is meant.
    pub(crate) path: Option<Path>,
    /// Bits of the tag.
    pub(crate) tag: Option<LitInt>,
}

impl OfType {
    pub(crate) fn read(attributes: &[Attribute], is_enum: bool) -> Result<OfType> {
        let mut of_type = OfType::default();
        for setting in settings(attributes)? {
            match setting {
                Setting::Crate(path) => of_type.path = Some(path),
                Setting::Tag(bits) if is_enum => of_type.tag = Some(bits),
                Setting::Tag(bits) => return Err(Error::new(bits.span(), "only an enum has a tag")),
            }
        }
        Ok(of_type)
    }
}

/// The tag that stands at a variant.
pub(crate) fn tag(attributes: &[Attribute]) -> Result<Option<LitInt>> {
    let mut tag = None;
    for setting in settings(attributes)? {
        match setting {
            Setting::Tag(value) => tag = Some(value),
            Setting::Crate(path) => {
                return Err(Error::new_spanned(path, "`crate` stands at the enum, not at a variant"));
            }
        }
    }
    Ok(tag)
}

enum Setting {
    Crate(Path),
    Tag(LitInt),
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            return input.call(Path::parse_mod_style).map(Setting::Crate);
        }
        let unknown = |span| Error::new(span, "there is `tag = …` and `crate = …` here; forms in bits stand at fields");
        let key: Ident = input.parse().map_err(|error| unknown(error.span()))?;
        if key != "tag" {
            return Err(unknown(key.span()));
        }
        input.parse::<Token![=]>()?;
        input.parse().map(Setting::Tag)
    }
}

fn settings(attributes: &[Attribute]) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for attribute in bits(attributes) {
        settings.extend(attribute.parse_args_with(Punctuated::<Setting, Token![,]>::parse_terminated)?);
    }
    Ok(settings)
}

/// The attributes that are ours.
pub(crate) fn bits(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("bits"))
}
