//! Where a session lives: moving to a new address, and finding out that the server does not know it any more.
//!
//! A server answers a packet of a known session from a new address with a challenge there. Only when the client has
//! echoed it from there, with the session's secret, does the server send there. Until then nothing has moved and
//! nothing was remembered, so that a flood from forged addresses finds nothing to change.
//!
//! A client that has heard nothing for a while asks whether its session is still known. A server that does not know
//! it answers with the session's secret, which it derives from its key: who has not seen the handshake cannot end a
//! session so. A server with a new key cannot either; then the time-out ends it.

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::rtt::RoundTrip;
use super::session::Session;
use super::wire::{Envelope, Header, Packet, ending_of, kind, path_response_of, write_probe};

/// What comes from an address that is not the peer's (yet).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// The echo of a challenge.
    Response {
        token: u32,
        secret: u64,
    },
    /// It may be the peer.
    Genuine,
    Forged,
}

/// What a client knows of its session beside its number.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) secret: u64,
    /// A challenge to be echoed.
    token: Option<u32>,
    /// When it asked last whether its session is known.
    probed: Instant,
}

impl Path {
    pub(super) fn new(secret: u64, now: Instant) -> Path {
        Path { secret, token: None, probed: now }
    }
}

impl Session {
    /// Looks at a packet from elsewhere. Nothing changes.
    pub(super) fn stray(&self, datagram: &[u8]) -> Stray {
        let read = Envelope::read(self.config().magic, datagram);
        let Some(envelope) = read.filter(|envelope| envelope.id == self.id()) else {
            return Stray::Forged;
        };
        if !self.sealing.is_on() {
            return self.opened_stray(&envelope);
        }
        let mut out = Vec::new();
        match self.sealing.open(&envelope, &mut out) {
            Ok(_) => self.opened_stray(&Envelope { body: &out, ..envelope }),
            Err(_) => Stray::Forged,
        }
    }

    fn opened_stray(&self, envelope: &Envelope) -> Stray {
        let mut body = envelope.body;
        let is_whole = match envelope.first & 0xF {
            kind::PATH_RESPONSE => match path_response_of(body) {
                Some((token, secret)) => return Stray::Response { token, secret },
                None => false,
            },
            kind::GOODBYE => ending_of(body).is_some(),
            _ => Header::read(envelope.first, &mut body).is_some_and(|header| self.outgoing.can_be_true(&header)),
        };
        if is_whole { Stray::Genuine } else { Stray::Forged }
    }

    /// The peer has shown that it is at a new address: what was learnt of the old way does not hold (RFC 9000, section
    /// 9.4).
    pub(super) fn moved(&mut self, now: Instant) {
        self.rtt = RoundTrip::default();
        self.pace.moved();
        self.last_heard = self.last_heard.max(now);
    }

    /// Takes what a server says without a session; false: it is nothing of the kind.
    pub(super) fn take_path(&mut self, datagram: &[u8]) -> bool {
        let packet = Packet::read(self.config().magic, datagram);
        let own = self.id();
        let Some(path) = &mut self.path else { return false };
        match packet {
            Some(Packet::PathChallenge { client, token }) if client == own => path.token = Some(token),
            Some(Packet::Reset { client, secret }) if client == own && secret == path.secret => {
                self.end(Failure::new(Kind::CLOSED, "the server does not know the connection any more"));
            }
            // The accept again: it was sent twice, or the response was.
            Some(Packet::Accept { .. }) => {}
            _ => return false,
        }
        true
    }

    /// Writes the echo of a challenge or a probe, where one is due. No deadline stands for them: whoever is idle pings,
    /// whoever is not flushes, and each looks here.
    pub(super) fn write_path(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let config = Session::knobs(&self.config);
        let (magic, ids) = (config.magic, self.ids);
        let Some(path) = &mut self.path else { return false };
        if let Some(token) = path.token.take() {
            let secret = path.secret;
            let begun = self.begin_sealed(kind::PATH_RESPONSE, packet);
            packet.extend_from_slice(&token.to_le_bytes());
            packet.extend_from_slice(&secret.to_le_bytes());
            self.seal(packet, &begun);
            return true;
        }
        let quiet_for = config.keep_alive.saturating_mul(2);
        let is_due = now >= path.probed.max(self.last_heard) + quiet_for;
        if is_due {
            path.probed = now;
            write_probe(packet, magic, ids.other, ids.own);
        }
        is_due
    }
}
