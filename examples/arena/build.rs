//! `proto/arena.proto -> src/wire.rs`, with a compiler that is a crate: nothing needs to be installed.

fn main() -> Result<(), loadkit_build::Error> {
    loadkit_build::Stamp::new().emit();
    loadkit_build::Proto::new().include("proto").compile(&["arena.proto"])
}
