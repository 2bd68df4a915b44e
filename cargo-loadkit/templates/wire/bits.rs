//! What goes over the wire: messages in bits. See `loadkit::transport::bits` for all that a field can be.

use loadkit::transport::bits::{Bits, Packed};

/// The client's codec.
pub type Client = Bits<FromClient, FromServer>;
/// The server's codec.
pub type Server = Bits<FromServer, FromClient>;

/// What clients send.
#[derive(Debug, Packed)]
pub enum FromClient {
    Login {
        #[bits(string(32))]
        account: String,
    },
    /// Where the player wants to be.
    Move {
        #[bits(-1000..=1000)]
        x: i32,
        #[bits(-1000..=1000)]
        y: i32,
    },
    Leave,
}

/// What the server sends.
#[derive(Debug, Packed)]
pub enum FromServer {
    Welcome,
    /// Where the player is.
    Moved {
        #[bits(-1000..=1000)]
        x: i32,
        #[bits(-1000..=1000)]
        y: i32,
    },
    Goodbye,
}
