//! What a server can prove without remembering anything: keyed hashes of what it is told.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip::SipHasher24;
use tokio::time::Instant;

/// A cookie is good for the rest of its bucket and all of the next; a path's token too.
const BUCKET: Duration = Duration::from_secs(5);

/// The secret key of a server, and its hashes (SipHash-2-4), apart for each purpose.
#[derive(Debug)]
pub(super) struct Gate {
    key: [u64; 2],
    began: Instant,
}

impl Gate {
    pub(super) fn new(key: [u64; 2], began: Instant) -> Gate {
        Gate { key, began }
    }

    /// Shows that a client can be reached at its address.
    pub(super) fn cookie(&self, now: Instant, addr: SocketAddr, salt: u64) -> u64 {
        self.of_addr(b'c', addr, salt, self.bucket(now))
    }

    pub(super) fn is_cookie(&self, now: Instant, addr: SocketAddr, salt: u64, cookie: u64) -> bool {
        let bucket = self.bucket(now);
        [bucket, bucket.wrapping_sub(1)].into_iter().any(|bucket| self.of_addr(b'c', addr, salt, bucket) == cookie)
    }

    /// Shows that a peer can be reached at its new address.
    pub(super) fn path(&self, now: Instant, addr: SocketAddr, session: u32) -> u32 {
        self.of_addr(b'p', addr, session.into(), self.bucket(now)) as u32
    }

    pub(super) fn is_path(&self, now: Instant, addr: SocketAddr, session: u32, token: u32) -> bool {
        let bucket = self.bucket(now);
        let of = |bucket| self.of_addr(b'p', addr, session.into(), bucket) as u32;
        [bucket, bucket.wrapping_sub(1)].into_iter().any(|bucket| of(bucket) == token)
    }

    /// By which repeats of a handshake are known.
    pub(super) fn origin(&self, addr: SocketAddr, salt: u64) -> u64 {
        self.of_addr(b'o', addr, salt, 0)
    }

    /// What both ends of a session know and nobody else: it moves a session to a new address, and shows that the
    /// server does not know it any more.
    pub(super) fn secret(&self, session: u32, client: u32) -> u64 {
        self.of(b'x', u64::from(session) << 32 | u64::from(client))
    }

    /// The id of the session that comes as number `count`.
    pub(super) fn session(&self, count: u64) -> u32 {
        self.of(b's', count) as u32
    }

    pub(super) fn bucket(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / BUCKET.as_secs()
    }

    fn of(&self, purpose: u8, number: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&[purpose]);
        hasher.write(&number.to_le_bytes());
        hasher.finish()
    }

    fn of_addr(&self, purpose: u8, addr: SocketAddr, number: u64, bucket: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&[purpose]);
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        hasher.write(&ip.octets());
        hasher.write(&addr.port().to_le_bytes());
        hasher.write(&number.to_le_bytes());
        hasher.write(&bucket.to_le_bytes());
        hasher.finish()
    }
}
