//! The protocol of docs/writing-a-protocol.md. Its target is a part of that guide, and lies with the protocol.

#[path = "../../loadkit-transport/tests/driftwood/protocol.rs"]
mod protocol;
#[path = "../../loadkit-transport/tests/driftwood/fuzz.rs"]
mod target;

pub(crate) use target::target;
