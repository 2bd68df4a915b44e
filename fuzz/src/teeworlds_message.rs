//! The messages of a Teeworlds server.

use teeworlds::messages::ServerMessage;

pub(crate) fn target(bytes: &[u8]) {
    let _ = ServerMessage::decode(bytes);
}
