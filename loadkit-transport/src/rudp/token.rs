//! Connect tokens: how a matchmaker that shares a key with the game's servers lets a player in.
//!
//! netcode's idea in a format of our own. The matchmaker gives the token to the client over a way that is safe
//! (HTTPS); the client shows the server the sealed part, which only the two of them can read, and from which both
//! ends have the keys of the session.
//!
//! ```text
//! token    "LKTOKEN1", protocol u32, expires u64 (Unix seconds), keys 2 x 32 (to the server, to the client),
//!          servers, nonce 24, sealed: u16 length, bytes
//! servers  u8 count; each: u8 4 or 6, the address' 4 or 16 bytes, port u16
//! sealed   XChaCha20-Poly1305 with the shared key and the nonce; associated data: "LKTOKEN1", protocol, expires;
//!          of: client u64, keys 2 x 32, servers, user data: u16 length, bytes
//! shown    in a response: expires u64, nonce 24, sealed
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use chacha20poly1305::{AeadInOut, Key, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use loadkit_core::{Failure, Kind};
use rand::Rng;

use super::crypto::Keys;
use super::sealing::TAG_LEN;
use super::wire::{bytes_of, take, u16_of, u32_of, u64_of};

const NAME: &[u8; 8] = b"LKTOKEN1";
/// Servers in a token, at most.
pub const MAX_SERVERS: usize = 8;
/// The longest user data of a token, in bytes.
pub const MAX_USER_DATA: usize = 256;

/// The key that a matchmaker shares with its servers.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

/// Does not show it.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// What a token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Who may connect, in the matchmaker's own numbers.
    pub client: u64,
    /// Until when, in seconds since 1970 (Unix). A session outlives its token.
    pub expires: u64,
    /// To which servers, at most [`MAX_SERVERS`]; none: to any that has the key.
    pub servers: Vec<SocketAddr>,
    /// What the server gets to know besides, at most [`MAX_USER_DATA`] bytes.
    pub user_data: Vec<u8>,
}

/// What a client needs in order to connect. It holds secret keys: it travels over safe ways only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    protocol: u32,
    expires: u64,
    pub(super) keys: Keys,
    servers: Vec<SocketAddr>,
    nonce: [u8; 24],
    sealed: Vec<u8>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// A key of 32 random bytes.
    pub const fn new(key: [u8; 32]) -> TokenKey {
        TokenKey(key)
    }

    /// Makes a token, as a matchmaker does. In production `rng` must be one for secrets: the session's keys come from
    /// it.
    ///
    /// # Errors
    /// `TOO_LARGE` when there are too many servers, or too much user data.
    pub fn mint(&self, protocol: u32, grant: &Grant, rng: &mut impl Rng) -> Result<Token, Failure> {
        if grant.servers.len() > MAX_SERVERS || grant.user_data.len() > MAX_USER_DATA {
            let what = format!("a token has room for {MAX_SERVERS} servers and {MAX_USER_DATA} bytes of user data");
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        let mut keys = Keys { to_server: [0; 32], to_client: [0; 32] };
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut keys.to_server);
        rng.fill_bytes(&mut keys.to_client);
        rng.fill_bytes(&mut nonce);
        let mut sealed = grant.client.to_le_bytes().to_vec();
        sealed.extend_from_slice(&keys.to_server);
        sealed.extend_from_slice(&keys.to_client);
        write_servers(&mut sealed, &grant.servers);
        sealed.extend_from_slice(&(grant.user_data.len() as u16).to_le_bytes());
        sealed.extend_from_slice(&grant.user_data);
        let cipher = XChaCha20Poly1305::new(&Key::from(self.0));
        let known = known(protocol, grant.expires);
        let tag = cipher.encrypt_inout_detached(&XNonce::from(nonce), &known, sealed.as_mut_slice().into());
        let tag: [u8; TAG_LEN] = tag.map(Into::into).unwrap_or_default();
        sealed.extend_from_slice(&tag);
        Ok(Token { protocol, expires: grant.expires, keys, servers: grant.servers.clone(), nonce, sealed })
    }

    /// Reads what a client shows, as a server does: what it grants, and the keys.
    pub(super) fn read(&self, protocol: u32, mut shown: &[u8]) -> Option<(Grant, Keys)> {
        let (expires, nonce) = (u64_of(&mut shown)?, take(&mut shown)?);
        let (sealed, tag) = shown.split_last_chunk::<TAG_LEN>()?;
        let mut plain = sealed.to_vec();
        let cipher = XChaCha20Poly1305::new(&Key::from(self.0));
        let known = known(protocol, expires);
        let text = plain.as_mut_slice().into();
        cipher.decrypt_inout_detached(&XNonce::from(nonce), &known, text, &Tag::from(*tag)).ok()?;
        let mut rest = plain.as_slice();
        let client = u64_of(&mut rest)?;
        let keys = Keys { to_server: take(&mut rest)?, to_client: take(&mut rest)? };
        let (servers, user_data) = (servers_of(&mut rest)?, bytes_of(&mut rest)?.to_vec());
        rest.is_empty().then_some((Grant { client, expires, servers, user_data }, keys))
    }
}

impl Token {
    /// To which servers it leads.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Until when it is good, in seconds since 1970 (Unix).
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The bytes that a matchmaker hands out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = known(self.protocol, self.expires).to_vec();
        out.extend_from_slice(&self.keys.to_server);
        out.extend_from_slice(&self.keys.to_client);
        write_servers(&mut out, &self.servers);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&(self.sealed.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.sealed);
        out
    }

    /// Reads [`Token::to_bytes`].
    ///
    /// # Errors
    /// `MALFORMED` when they are no token.
    pub fn from_bytes(bytes: &[u8]) -> Result<Token, Failure> {
        let read = |mut rest: &[u8]| {
            let rest = &mut rest;
            let _: [u8; 8] = take(rest).filter(|name| name == NAME)?;
            let token = Token {
                protocol: u32_of(rest)?,
                expires: u64_of(rest)?,
                keys: Keys { to_server: take(rest)?, to_client: take(rest)? },
                servers: servers_of(rest)?,
                nonce: take(rest)?,
                sealed: bytes_of(rest)?.to_vec(),
            };
            rest.is_empty().then_some(token)
        };
        read(bytes).ok_or_else(|| Failure::new(Kind::MALFORMED, "the bytes are no connect token"))
    }

    /// What the client shows the server.
    pub(super) fn shown(&self) -> Vec<u8> {
        let mut shown = self.expires.to_le_bytes().to_vec();
        shown.extend_from_slice(&self.nonce);
        shown.extend_from_slice(&self.sealed);
        shown
    }

    /// The length of [`Token::shown`].
    pub(super) fn shown_len(&self) -> usize {
        8 + self.nonce.len() + self.sealed.len()
    }
}

/// What everybody may know of a token, and nobody may change.
fn known(protocol: u32, expires: u64) -> [u8; 20] {
    let mut known = [0; 20];
    known[..8].copy_from_slice(NAME);
    known[8..12].copy_from_slice(&protocol.to_le_bytes());
    known[12..].copy_from_slice(&expires.to_le_bytes());
    known
}

fn write_servers(out: &mut Vec<u8>, servers: &[SocketAddr]) {
    out.push(servers.len() as u8);
    for server in servers {
        match server.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&server.port().to_le_bytes());
    }
}

fn servers_of(rest: &mut &[u8]) -> Option<Vec<SocketAddr>> {
    let [count] = take(rest)?;
    if usize::from(count) > MAX_SERVERS {
        return None;
    }
    let server = |rest: &mut &[u8]| {
        let ip = match take(rest)? {
            [4] => IpAddr::from(take::<4>(rest)?),
            [6] => IpAddr::from(take::<16>(rest)?),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16_of(rest)?))
    };
    (0..count).map(|_| server(rest)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    use super::*;

    fn grant() -> Grant {
        Grant {
            client: 42,
            expires: 2_000_000_000,
            servers: vec!["10.1.2.3:4000".parse().unwrap(), "[::1]:5000".parse().unwrap()],
            user_data: b"team blue".to_vec(),
        }
    }

    #[test]
    fn a_token_tells_the_server_what_was_granted_and_nobody_else() {
        let key = TokenKey::new([7; 32]);
        let token = key.mint(9, &grant(), &mut Pcg64Mcg::seed_from_u64(1)).unwrap();
        assert_eq!(Token::from_bytes(&token.to_bytes()).unwrap(), token);
        assert_eq!(token.shown().len(), token.shown_len());
        let (read, keys) = key.read(9, &token.shown()).unwrap();
        assert_eq!((read, keys), (grant(), token.keys.clone()));
        assert!(TokenKey::new([8; 32]).read(9, &token.shown()).is_none(), "another key");
        assert!(key.read(10, &token.shown()).is_none(), "another game");
        for at in 0..token.shown().len() {
            let mut forged = token.shown();
            forged[at] ^= 1;
            assert!(key.read(9, &forged).is_none(), "byte {at}");
            assert!(key.read(9, &token.shown()[..at]).is_none(), "cut at {at}");
        }
        let too_much = Grant { user_data: vec![0; MAX_USER_DATA + 1], ..grant() };
        assert_eq!(key.mint(9, &too_much, &mut Pcg64Mcg::seed_from_u64(1)).unwrap_err().kind(), Kind::TOO_LARGE);
        let secret = format!("{key:?} {token:?}");
        assert!(!secret.contains("keys") && !secret.contains('7'), "{secret}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..300_usize) {
            let _ = Token::from_bytes(&bytes);
            let mut near = TokenKey::new([7; 32]).mint(9, &grant(), &mut Pcg64Mcg::seed_from_u64(1)).unwrap().to_bytes();
            near.truncate(cut);
            near.extend_from_slice(&bytes);
            let _ = Token::from_bytes(&near);
        }
    }
}
