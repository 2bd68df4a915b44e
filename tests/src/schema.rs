//! The messages of `proto/interop.proto`, generics of every kind among them, as `loadkit-build` makes them.

use loadkit::{Failure, Kind};

include!(concat!(env!("OUT_DIR"), "/interop.rs"));

/// The messages of a package within the package.
pub mod common {
    include!(concat!(env!("OUT_DIR"), "/interop.common.rs"));
}

/// The schema as other languages read it: an encoded `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/interop.binpb"));

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        Failure::new(Kind::new("refused"), refused.words)
    }
}
