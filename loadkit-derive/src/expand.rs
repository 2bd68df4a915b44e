//! The code that is generated.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Result, parse_quote};

use crate::model::{Body, Field, Model, Shape, binding};

pub(crate) fn packed(input: &DeriveInput) -> Result<TokenStream> {
    let Model { bits, shape } = Model::read(input)?;
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for param in generics.type_params_mut() {
        param.bounds.push(parse_quote!(#bits::Packed));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let code = Code { bits: &bits, label: name.to_string() };
    let (write, read) = (code.write(&shape), code.read(&shape));
    let (same, write_delta, read_delta) = (code.same(&shape), code.write_delta(&shape), code.read_delta(&shape));
    Ok(quote! {
        #[automatically_derived]
        #[allow(unreachable_patterns, unused_variables, clippy::all, reason = "generated for any shape of type")]
        impl #impl_generics #bits::Packed for #name #type_generics #where_clause {
            fn write<__O: #bits::Order>(
                &self,
                __w: &mut #bits::BitWriter<__O>,
            ) -> ::core::result::Result<(), #bits::BitError> {
                #write
            }

            fn read<__O: #bits::Order>(
                __r: &mut #bits::BitReader<'_, __O>,
            ) -> ::core::result::Result<Self, #bits::BitError> {
                #read
            }

            fn same(&self, __base: &Self) -> bool {
                #same
            }

            fn write_delta<__O: #bits::Order>(
                &self,
                __base: &Self,
                __w: &mut #bits::BitWriter<__O>,
            ) -> ::core::result::Result<(), #bits::BitError> {
                let __changed = !#bits::Packed::same(self, __base);
                __w.bool(__changed)?;
                if !__changed {
                    return ::core::result::Result::Ok(());
                }
                #write_delta
            }

            fn read_delta<__O: #bits::Order>(
                &mut self,
                __r: &mut #bits::BitReader<'_, __O>,
            ) -> ::core::result::Result<(), #bits::BitError> {
                if !__r.bool()? {
                    return ::core::result::Result::Ok(());
                }
                #read_delta
            }
        }
    })
}

struct Code<'a> {
    /// The path of the module `bits`.
    bits: &'a TokenStream,
    label: String,
}

impl Code<'_> {
    fn write(&self, shape: &Shape) -> TokenStream {
        let ok = quote!(::core::result::Result::Ok(()));
        match shape {
            Shape::Struct(body) => {
                let (pattern, fields) = (body.pattern("v"), self.write_fields(body));
                quote!(let #pattern = self; #fields #ok)
            }
            Shape::Enum { width, variants } => {
                let arms = variants.iter().map(|variant| {
                    let (pattern, fields) = (variant.body.pattern("v"), self.write_fields(&variant.body));
                    let tag = variant.tag;
                    quote!(#pattern => { __w.bits(#tag, #width)?; #fields })
                });
                quote!(match self { #(#arms)* } #ok)
            }
        }
    }

    fn write_fields(&self, body: &Body) -> TokenStream {
        self.for_each(body, |at, field, coding, form| {
            let (value, label) = (binding("v", at), &field.label);
            quote_spanned!(field.ty.span()=>
                #form::write(&#coding, #value, __w).map_err(|__error| __w.blame(__error, #label))?;
            )
        })
    }

    fn read(&self, shape: &Shape) -> TokenStream {
        let make = |body: &Body| {
            let (fields, value) = (self.read_fields(body), body.pattern("v"));
            quote!({ #fields ::core::result::Result::Ok(#value) })
        };
        match shape {
            Shape::Struct(body) => make(body),
            Shape::Enum { width, variants } => {
                let arms = variants.iter().map(|variant| {
                    let (tag, value) = (variant.tag, make(&variant.body));
                    quote!(#tag => #value)
                });
                let (bits, label) = (self.bits, &self.label);
                quote! {
                    let __tag = __r.bits(#width).map_err(|__error| __r.blame(__error, #label))?;
                    match __tag {
                        #(#arms)*
                        _ => ::core::result::Result::Err(__r.blame(#bits::BitError::Tag, #label)),
                    }
                }
            }
        }
    }

    fn read_fields(&self, body: &Body) -> TokenStream {
        self.for_each(body, |at, field, coding, form| {
            let (value, label) = (binding("v", at), &field.label);
            quote_spanned!(field.ty.span()=>
                let #value = #form::read(&#coding, __r).map_err(|__error| __r.blame(__error, #label))?;
            )
        })
    }

    fn same(&self, shape: &Shape) -> TokenStream {
        let fields = |body: &Body| {
            let terms = self.for_each(body, |at, field, coding, form| {
                let (value, base) = (binding("v", at), binding("b", at));
                quote_spanned!(field.ty.span()=> && #form::same(&#coding, #value, #base))
            });
            quote!(true #terms)
        };
        match shape {
            Shape::Struct(body) => {
                let (value, base, fields) = (body.pattern("v"), body.pattern("b"), fields(body));
                quote!(let (#value, #base) = (self, __base); #fields)
            }
            Shape::Enum { variants, .. } => {
                let arms = variants.iter().map(|variant| {
                    let body = &variant.body;
                    let (value, base, fields) = (body.pattern("v"), body.pattern("b"), fields(body));
                    quote!((#value, #base) => #fields,)
                });
                quote!(match (self, __base) { #(#arms)* _ => false })
            }
        }
    }

    fn write_delta(&self, shape: &Shape) -> TokenStream {
        let fields = |body: &Body| {
            self.for_each(body, |at, field, coding, form| {
                let (value, base, label) = (binding("v", at), binding("b", at), &field.label);
                quote_spanned!(field.ty.span()=>
                    #form::write_delta(&#coding, #value, #base, __w)
                        .map_err(|__error| __w.blame(__error, #label))?;
                )
            })
        };
        let ok = quote!(::core::result::Result::Ok(()));
        match shape {
            Shape::Struct(body) => {
                let (value, base, fields) = (body.pattern("v"), body.pattern("b"), fields(body));
                quote!(let (#value, #base) = (self, __base); #fields #ok)
            }
            Shape::Enum { variants, .. } => {
                let arms = variants.iter().map(|variant| {
                    let body = &variant.body;
                    let (value, base, fields) = (body.pattern("v"), body.pattern("b"), fields(body));
                    quote!((#value, #base) => { __w.bool(true)?; #fields #ok })
                });
                let bits = self.bits;
                quote!(match (self, __base) {
                    #(#arms)*
                    _ => { __w.bool(false)?; #bits::Packed::write(self, __w) }
                })
            }
        }
    }

    fn read_delta(&self, shape: &Shape) -> TokenStream {
        let fields = |body: &Body| {
            self.for_each(body, |at, field, coding, form| {
                let (value, label) = (binding("v", at), &field.label);
                quote_spanned!(field.ty.span()=>
                    #form::read_delta(&#coding, #value, __r).map_err(|__error| __r.blame(__error, #label))?;
                )
            })
        };
        let ok = quote!(::core::result::Result::Ok(()));
        match shape {
            Shape::Struct(body) => {
                let (value, fields) = (body.pattern("v"), fields(body));
                quote!(let #value = self; #fields #ok)
            }
            Shape::Enum { variants, .. } => {
                let arms = variants.iter().map(|variant| {
                    let (value, fields) = (variant.body.pattern("v"), fields(&variant.body));
                    quote!(#value => { #fields })
                });
                let bits = self.bits;
                quote! {
                    if __r.bool()? {
                        match self { #(#arms)* }
                    } else {
                        *self = #bits::Packed::read(__r)?;
                    }
                    #ok
                }
            }
        }
    }

    /// Code for each field: `make` is given its place, itself, its coding and the trait by which it is used. That names
    /// the field's type, so that a form that does not fit is reported there.
    fn for_each(
        &self,
        body: &Body,
        make: impl Fn(usize, &Field, &TokenStream, &TokenStream) -> TokenStream,
    ) -> TokenStream {
        let bits = self.bits;
        let code = body.fields.iter().enumerate().map(|(at, field)| {
            let ty = &field.ty;
            let coding = field.coding.expression(bits);
            let form = quote_spanned!(ty.span()=> <_ as #bits::Coding<#ty>>);
            make(at, field, &coding, &form)
        });
        quote!(#(#code)*)
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    /// What the macro says to this, or the code that it makes.
    fn said(input: &str) -> String {
        match packed(&parse_str(input).unwrap()) {
            Ok(code) => code.to_string(),
            Err(errors) => errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("\n"),
        }
    }

    /// The text at which an error points.
    fn blamed(input: &str) -> String {
        let error = packed(&parse_str(input).unwrap()).unwrap_err();
        error.span().source_text().unwrap_or_default()
    }

    fn field(form: &str) -> String {
        format!("struct A {{ #[bits({form})] x: X }}")
    }

    #[test]
    fn every_form_is_understood() {
        for (form, made) in [
            ("0..=9", "(0 ..= 9)"),
            ("MIN..=MAX", "(MIN ..= MAX)"),
            ("5", "Fixed (5)"),
            ("varint", "Varint"),
            ("relative(6)", "Relative :: new (6)"),
            ("relative(6, 0..=9,)", "Relative :: within (6 , 0 ..= 9)"),
            ("quantised(-1..=1, 0.01)", "const { B :: Quantised :: new ((- 1) as f64 , (1) as f64 , (0.01) as f64) }"),
            ("clamped(A..=B, C)", ". clamped () }"),
            ("quaternion(10)", "Quaternion (10)"),
            ("string(32)", "Text (32)"),
            ("bytes(MAX)", "Blob (MAX)"),
            ("list(8)", "List { max : 8 , each : B :: Whole }"),
            ("list(8, option(each(3)))", "each : B :: Maybe (B :: Each (B :: Fixed (3)))"),
            ("with(MINE)", "(MINE)"),
        ] {
            let code = said(&field(form)).replace(":: loadkit :: transport :: bits", "B");
            assert!(code.contains(made), "{form}: {code}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        for (form, message, place) in [
            ("0..9", "a range has both of its ends: `0..=9`", "0..9"),
            ("..=9", "a range has both of its ends", "..=9"),
            ("0", "1 to 64 bits", "0"),
            ("65", "1 to 64 bits", "65"),
            ("quaternion(1)", "2 to 20 bits", "1"),
            ("relative(64)", "1 to 63 bits", "64"),
            ("string", "`string` has arguments: `string(32)`", "string"),
            ("quantised(-1.0..=1.0)", "the resolution is missing: `quantised(-1.0..=1.0, 0.01)`", ""),
            ("quantised(1.0, 0.01)", "a range such as `0..=9` must stand here", "1.0"),
            ("vairnt", "no form in bits: write a range `0..=9`, a number of bits, or one of varint, ", "vairnt"),
            ("list(8, 0..=9, 3)", "too much: `list(64)`", "3"),
            ("list(8, sting(3))", "no form in bits", "sting(3)"),
        ] {
            let input = field(form);
            assert!(said(&input).contains(message), "{form}: {}", said(&input));
            assert!(place.is_empty() || blamed(&input) == place, "{form}: {}", blamed(&input));
        }
        for (input, message, place) in [
            ("struct A { #[bits(3)] #[bits(varint)] x: u8 }", "here is a second", "#[bits(varint)]"),
            ("struct A<'a> { x: &'a u8 }", "cannot borrow", "'a"),
            ("union A { x: u8 }", "a union", "A"),
            ("enum A {}", "without variants", "A"),
            ("#[bits(tag = 3)] struct A;", "only an enum has a tag", "3"),
            ("#[bits(varint)] struct A;", "forms in bits stand at fields", "varint"),
            ("enum A { #[bits(crate = a)] B }", "stands at the enum", "a"),
            ("enum A { #[bits(tag = 1)] B, C, #[bits(tag = 2)] D }", "`D` has the tag 2, and so has `C`", "2"),
            ("#[bits(tag = 2)] enum A { #[bits(tag = 4)] B }", "the tags up to 4 need 3 to 64 bits", "2"),
            ("enum A { #[bits(tag = 0xFFFF_FFFF_FFFF_FFFF)] B, C }", "the greatest tag that there is", "C"),
        ] {
            assert!(said(input).contains(message), "{input}: {}", said(input));
            assert_eq!(blamed(input), place, "{input}");
        }
    }

    #[test]
    fn all_faults_of_a_type_are_said_at_once() {
        let said = said("struct A { #[bits(0..9)] x: u8, #[bits(99)] y: u8 }");
        assert_eq!(said.lines().count(), 2, "{said}");
    }

    #[test]
    fn tags_take_the_least_bits() {
        let width = |input: &str| {
            let code = said(input);
            let bits = code.split("__r . bits (").nth(1).unwrap();
            bits.split('u').next().unwrap().parse::<u32>().unwrap()
        };
        assert_eq!(width("enum A { B }"), 0);
        assert_eq!(width("enum A { B, C }"), 1);
        assert_eq!(width("enum A { B, C, D, E, F }"), 3);
        assert_eq!(width("enum A { #[bits(tag = 255)] B }"), 8);
        assert_eq!(width("#[bits(tag = 16)] enum A { B }"), 16);
    }

    #[test]
    fn the_path_can_be_another_crates() {
        let code = said("#[bits(crate = loadkit_transport)] struct A;");
        assert!(
            code.contains("loadkit_transport :: bits :: Packed for A") && !code.contains(":: loadkit :: "),
            "{code}"
        );
    }
}
