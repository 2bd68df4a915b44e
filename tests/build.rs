//! `proto/interop.proto -> src/schema.rs`, and the same schema as descriptors for other languages.

fn main() -> Result<(), loadkit_build::Error> {
    loadkit_build::Proto::new()
        .include("proto")
        .descriptor_set("interop.binpb")
        .compile(&["interop.proto", "common.proto"])
}
