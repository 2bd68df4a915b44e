//! What goes over the wire: the messages of `proto`, made by `build.rs`.

use loadkit::transport::Proto;

{{includes}}

/// What clients send.
pub type FromClient = {{out}};
/// What the server sends.
pub type FromServer = {{in}};

/// The client's codec.
pub type Client = Proto<FromClient, FromServer>;
/// The server's codec.
pub type Server = Proto<FromServer, FromClient>;
