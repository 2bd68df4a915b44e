//! Whether a session's packets are sealed. Without the feature `encryption` none ever is, and it costs nothing.

#[cfg(feature = "encryption")]
use super::crypto::Crypto;
use super::wire::Envelope;

/// What sealing adds to a packet (RFC 8439, section 2.8).
pub(super) const TAG_LEN: usize = 16;

/// The sealing of one end of a session, if there is one.
#[derive(Debug, Default)]
pub(super) struct Sealing(#[cfg(feature = "encryption")] pub(super) Option<Box<Crypto>>);

/// A packet that has been opened: its number, where it is sealed.
pub(super) type Number = Option<u64>;

/// Why a packet is not taken.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "encryption"), expect(dead_code, reason = "nothing is sealed then"))]
pub(super) enum Closed {
    /// It was seen before, or is too old to tell.
    Again,
    Forged,
}

impl Sealing {
    /// Whether packets are sealed.
    pub(super) fn is_on(&self) -> bool {
        self.overhead() > 0
    }

    /// By how much it lengthens a packet.
    #[cfg(feature = "encryption")]
    pub(super) fn overhead(&self) -> usize {
        if self.0.is_some() { TAG_LEN } else { 0 }
    }

    /// By how much it lengthens a packet.
    #[cfg(not(feature = "encryption"))]
    pub(super) fn overhead(&self) -> usize {
        0
    }

    /// Seals the packet that begins at `start`, from `body` on.
    pub(super) fn seal(&mut self, sequence: u16, packet: &mut Vec<u8>, start: usize, body: usize) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = &mut self.0 {
            crypto.seal(sequence, packet, start, body);
        }
        #[cfg(not(feature = "encryption"))]
        let _ = (sequence, packet, start, body);
    }

    /// Seals the welcome of an accept, from `body` on.
    pub(super) fn seal_accept(&self, protocol: u32, salt: u64, packet: &mut Vec<u8>, start: usize, body: usize) {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = &self.0 {
            crypto.keys.seal_accept(protocol, salt, packet, start, body);
        }
        #[cfg(not(feature = "encryption"))]
        let _ = (protocol, salt, packet, start, body);
    }

    /// Opens a packet into `out`, which stays empty where nothing is sealed.
    pub(super) fn open(&self, envelope: &Envelope, out: &mut Vec<u8>) -> Result<Number, Closed> {
        #[cfg(feature = "encryption")]
        if let Some(crypto) = &self.0 {
            let number = crypto.number(envelope.sequence).ok_or(Closed::Again)?;
            return crypto.open(number, envelope, out).then_some(Some(number)).ok_or(Closed::Forged);
        }
        let _ = (envelope, out);
        Ok(None)
    }

    /// A packet that was opened has been taken.
    pub(super) fn taken(&mut self, number: Number) {
        #[cfg(feature = "encryption")]
        if let (Some(crypto), Some(number)) = (&mut self.0, number) {
            crypto.taken(number);
        }
        let _ = number;
    }
}
