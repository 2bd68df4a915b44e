//! The schema as Rust, and the build's stamp. Nothing needs to be installed for it.

fn main() -> Result<(), loadkit_build::Error> {
    loadkit_build::Stamp::new().emit();
    loadkit_build::Proto::new(){{proto-includes}}.compile(&[{{proto-files}}])
}
