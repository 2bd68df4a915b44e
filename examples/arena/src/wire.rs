//! What goes over the wire: the messages of `proto/arena.proto`, and what a refusal is counted by.

use loadkit::{Failure, Kind};

/// The fingerprint of these messages, by which client and server know whether they speak the same.
pub const PROTOCOL: &str = env!("LOADKIT_PROTOCOL");

include!(concat!(env!("OUT_DIR"), "/arena.rs"));

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let kind = match refused.reason() {
            Reason::Unspecified => "refused",
            Reason::NotUnderstood => "refused-not-understood",
            Reason::NotLoggedIn => "refused-not-logged-in",
            Reason::AlreadyLoggedIn => "refused-already-logged-in",
            Reason::BadAccount => "refused-bad-account",
            Reason::ServerFull => "refused-server-full",
            Reason::AlreadyPlaying => "refused-already-playing",
            Reason::BadParty => "refused-bad-party",
            Reason::NotPlaying => "refused-not-playing",
            Reason::StaleMove => "refused-stale-move",
            Reason::TooFar => "refused-too-far",
            Reason::TooManyMoves => "refused-too-many-moves",
            Reason::NoSuchItem => "refused-no-such-item",
            Reason::NotEnoughGold => "refused-not-enough-gold",
        };
        Failure::new(Kind::new(kind), "the server refuses the request")
    }
}
