//! `fn(&[u8])` that never panics: a fuzz target for every decoder and every protocol's input.
//!
//! A target takes any bytes, gives them to what it is for, and asserts what must hold of whatever came out. It is
//! deterministic: no clock, no randomness, nothing kept from one input to the next.

mod bits;
mod driftwood;
mod enet_client;
mod enet_server;
mod enet_session;
mod enveloped;
mod flight;
mod framing;
mod histograms;
mod input;
mod kcp;
mod kcp_server;
mod pair;
mod plan;
mod proto;
mod quic_server;
mod report;
mod rudp_client;
mod rudp_server;
mod rudp_session;
mod rudp_token;
mod teeworlds_huffman;
mod teeworlds_message;
mod teeworlds_packet;
mod teeworlds_session;
mod teeworlds_snapshot;
mod teeworlds_varint;
mod threshold;
mod ws_frames;
mod ws_upgrade;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by their names, each of which is the name of its file and of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("bits", bits::target),
    ("driftwood", driftwood::target),
    ("enet_client", enet_client::target),
    ("enet_server", enet_server::target),
    ("enet_session", enet_session::target),
    ("enveloped", enveloped::target),
    ("flight", flight::target),
    ("framing", framing::target),
    ("histograms", histograms::target),
    ("kcp", kcp::target),
    ("kcp_server", kcp_server::target),
    ("plan", plan::target),
    ("proto", proto::target),
    ("quic_server", quic_server::target),
    ("report", report::target),
    ("rudp_client", rudp_client::target),
    ("rudp_server", rudp_server::target),
    ("rudp_session", rudp_session::target),
    ("rudp_token", rudp_token::target),
    ("teeworlds_huffman", teeworlds_huffman::target),
    ("teeworlds_message", teeworlds_message::target),
    ("teeworlds_packet", teeworlds_packet::target),
    ("teeworlds_session", teeworlds_session::target),
    ("teeworlds_snapshot", teeworlds_snapshot::target),
    ("teeworlds_varint", teeworlds_varint::target),
    ("threshold", threshold::target),
    ("ws_frames", ws_frames::target),
    ("ws_upgrade", ws_upgrade::target),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
