//! The build's stamp, with a fingerprint of the messages.

fn main() {
    loadkit_build::Stamp::new().protocol(["src/wire.rs"]).emit();
}
