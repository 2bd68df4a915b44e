//! What a newcomer must show to be let in: nothing, or a connect token.

use bytes::Bytes;
#[cfg(feature = "encryption")]
use tokio::time::Instant;

use super::peers::Hello;
use super::sealing::Sealing;
use super::wire::Response;

/// The code of a denial because the server is full.
pub const CODE_FULL: u32 = 1;
/// The code of a denial because there is no connect token where one is needed, or one where none is, or it is not
/// genuine, of another game or for another server.
pub const CODE_TOKEN: u32 = 2;
/// The code of a denial because the connect token has expired.
pub const CODE_EXPIRED: u32 = 3;

/// Who comes in, and how its packets are sealed.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) hello: Option<Box<Hello>>,
    pub(super) sealing: Sealing,
}

/// Why somebody does not come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Denied(u32, &'static str),
    /// Not even worth an answer.
    #[cfg_attr(not(feature = "encryption"), expect(dead_code, reason = "nothing is sealed then"))]
    Forged,
}

/// The door of a server.
#[derive(Debug, Default)]
pub(super) struct Door(#[cfg(feature = "encryption")] pub(super) Option<Tokens>);

/// What tokens are checked against.
#[cfg(feature = "encryption")]
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) key: super::token::TokenKey,
    /// The Unix time at this moment.
    pub(super) at: (u64, Instant),
    /// The server's own addresses, as tokens name them. Empty: any will do.
    pub(super) addrs: Vec<std::net::SocketAddr>,
}

impl Door {
    #[cfg(not(feature = "encryption"))]
    pub(super) fn check(&self, _: tokio::time::Instant, response: &Response) -> Result<Passed, Stopped> {
        plain(response)
    }

    #[cfg(feature = "encryption")]
    pub(super) fn check(&self, now: Instant, response: &Response) -> Result<Passed, Stopped> {
        let Some(tokens) = &self.0 else { return plain(response) };
        let not_good = Stopped::Denied(CODE_TOKEN, "a connect token of this server is needed");
        let Some((grant, keys)) = tokens.key.read(response.protocol, response.token) else { return Err(not_good) };
        let (unix, at) = tokens.at;
        if unix.saturating_add(now.saturating_duration_since(at).as_secs()) >= grant.expires {
            return Err(Stopped::Denied(CODE_EXPIRED, "the connect token has expired"));
        }
        let is_named = |addrs: &[_]| addrs.is_empty() || grant.servers.is_empty() || named(addrs, &grant.servers);
        if !is_named(&tokens.addrs) {
            return Err(not_good);
        }
        let keys = keys.of_session(response.salt);
        let opened = keys.open_response(response.protocol, response.cookie, response.before, response.payload);
        let payload = opened.ok_or(Stopped::Forged)?.into();
        let hello = Hello { payload, client: Some(grant.client), user_data: grant.user_data.into() };
        let crypto = super::crypto::Crypto::new(keys, true, response.protocol);
        Ok(Passed { hello: Some(Box::new(hello)), sealing: Sealing(Some(Box::new(crypto))) })
    }
}

#[cfg(feature = "encryption")]
fn named(ours: &[std::net::SocketAddr], theirs: &[std::net::SocketAddr]) -> bool {
    ours.iter().any(|addr| theirs.contains(addr))
}

fn plain(response: &Response) -> Result<Passed, Stopped> {
    if !response.token.is_empty() {
        return Err(Stopped::Denied(CODE_TOKEN, "this server takes no connect tokens"));
    }
    let payload = response.payload;
    let hello = || Box::new(Hello { payload: Bytes::copy_from_slice(payload), ..Hello::default() });
    Ok(Passed { hello: (!payload.is_empty()).then(hello), ..Passed::default() })
}
