//! What a load client can be made with: a transport, and a codec.

use clap::ValueEnum;
use serde::Serialize;

/// How the players talk to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Reliable UDP.
    Rudp,
    /// Frames over TCP.
    Tcp,
    /// WebSockets.
    Ws,
    /// Bare datagrams.
    Udp,
    /// HTTP requests.
    Http,
}

/// How messages become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Protobuf, of the game's own files with `--proto`.
    Protobuf,
    /// Messages in as few bits as they need.
    Bits,
    /// One of the game's own, to be written.
    Custom,
}

impl Transport {
    /// All that there are.
    pub const ALL: [Transport; 5] = [Transport::Rudp, Transport::Tcp, Transport::Ws, Transport::Udp, Transport::Http];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Rudp => "rudp",
            Transport::Tcp => "tcp",
            Transport::Ws => "ws",
            Transport::Udp => "udp",
            Transport::Http => "http",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Transport::Rudp => "reliable UDP",
            Transport::Tcp => "TCP",
            Transport::Ws => "WebSockets",
            Transport::Udp => "bare datagrams",
            Transport::Http => "HTTP",
        }
    }

    /// What connects a bot with it.
    pub(super) fn dial(self) -> &'static str {
        match self {
            Transport::Rudp => "Rudp",
            Transport::Tcp => "Framed",
            Transport::Ws => "Ws",
            Transport::Udp => "Datagram",
            Transport::Http => "Http",
        }
    }

    /// What a target begins with.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Transport::Rudp | Transport::Tcp | Transport::Udp => "",
            Transport::Ws => "ws://",
            Transport::Http => "http://",
        }
    }

    /// Whether its server listens for streams, and not for datagrams.
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Ws | Transport::Http)
    }

    /// The features of loadkit that it needs beside the default ones.
    pub(super) fn features(self) -> &'static [&'static str] {
        match self {
            Transport::Rudp | Transport::Tcp | Transport::Udp => &[],
            Transport::Ws => &["ws"],
            Transport::Http => &["http"],
        }
    }
}

impl Codec {
    /// All that there are.
    pub const ALL: [Codec; 3] = [Codec::Protobuf, Codec::Bits, Codec::Custom];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Protobuf => "protobuf",
            Codec::Bits => "bits",
            Codec::Custom => "custom",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Codec::Protobuf => "Protobuf messages",
            Codec::Bits => "messages in bits",
            Codec::Custom => "a codec of the game's own",
        }
    }
}
