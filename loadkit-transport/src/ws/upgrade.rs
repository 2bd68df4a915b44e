//! The handshake: an HTTP request that asks for a WebSocket, and the server's answer (RFC 6455, section 4).

use std::future::poll_fn;
use std::io;

use loadkit_core::{Failure, Kind};
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::address::Address;
use crate::failures::told;
use crate::status;
use crate::wire::Wire;

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// Bytes read at once.
const READ: usize = 1_024;
/// Of a refusal's body so much is shown, in characters.
const SHOWN: usize = 200;

/// What a bot asks a server for: a WebSocket at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    pub(super) path: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) subprotocols: Vec<String>,
    pub(super) is_text: bool,
    pub(super) max: usize,
}

impl Default for Upgrade {
    /// Binary messages of at most 1 MiB, at the target's path.
    fn default() -> Upgrade {
        Upgrade { path: None, headers: Vec::new(), subprotocols: Vec::new(), is_text: false, max: 1 << 20 }
    }
}

impl Upgrade {
    /// Asks. What came behind the server's answer belongs to the WebSocket already.
    pub(super) async fn ask(&self, wire: &mut Wire, target: &Address<'_>) -> io::Result<Vec<u8>> {
        let key = generate_key();
        let mut request = self.request(target, &key).map_err(io::Error::other)?;
        poll_fn(|cx| wire.poll_write_all(cx, &mut request)).await?;
        let mut answer = Vec::new();
        let mut buf = vec![0; READ];
        loop {
            let len = poll_fn(|cx| wire.poll_read(cx, &mut buf)).await?;
            answer.extend_from_slice(&buf[..len]);
            match self.answered(&key, &answer).map_err(io::Error::other)? {
                Some(len) => return Ok(answer.split_off(len)),
                None if len == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None if answer.len() > MAX_ANSWER => {
                    return Err(told(Kind::TOO_LARGE, format!("an answer to the upgrade of over {MAX_ANSWER} bytes")));
                }
                None => {}
            }
        }
    }

    /// How long the answer to a request with this key is, which agrees to it; `None` until it is whole.
    ///
    /// # Errors
    /// `MALFORMED` when it is none, or does not agree to what was asked for; with another status, as that says.
    pub fn answered(&self, key: &str, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        let parsed = Response::try_parse(bytes)
            .map_err(|error| Failure::new(Kind::MALFORMED, format!("the answer is not HTTP: {error}")))?;
        let Some((len, response)) = parsed else { return Ok(None) };
        self.check(&response, key, bytes.get(len..).unwrap_or_default())?;
        Ok(Some(len))
    }

    fn request(&self, target: &Address<'_>, key: &str) -> Result<Vec<u8>, Failure> {
        let path = self.path.as_deref().unwrap_or(target.path);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let is_path = path.bytes().all(|byte| byte.is_ascii_graphic());
        let host = if target.authority.is_empty() { "localhost" } else { target.authority };
        if !is_path || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(Kind::TARGET, format!("{path:?} at {host:?} is no path of a WebSocket")));
        }
        let mut request = format!("GET {path} HTTP/1.1\r\n");
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {host}\r\n");
        }
        request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        request += &format!("Sec-WebSocket-Key: {key}\r\n");
        let offered = (!self.subprotocols.is_empty())
            .then(|| (header::SEC_WEBSOCKET_PROTOCOL.to_string(), self.subprotocols.join(", ")));
        for (name, value) in self.headers.iter().chain(&offered) {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                return Err(Failure::new(Kind::TARGET, format!("{name:?}: {value:?} is no header of HTTP")));
            }
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        Ok(request.into_bytes())
    }

    fn check(&self, response: &Response, key: &str, rest: &[u8]) -> Result<(), Failure> {
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body: String = String::from_utf8_lossy(rest).chars().take(SHOWN).collect();
            let body = if body.trim().is_empty() { String::new() } else { format!(": {:?}", body.trim()) };
            return Err(status::failure(
                status.as_u16(),
                format!("the upgrade to a WebSocket was answered with {status}{body}"),
            ));
        }
        let headers = response.headers();
        let unfit = |what: &str| Err(Failure::new(Kind::MALFORMED, format!("the answer to the upgrade {what}")));
        if !has_token(headers, header::UPGRADE, "websocket") || !has_token(headers, header::CONNECTION, "upgrade") {
            return unfit("upgrades to no WebSocket");
        }
        if headers.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes)
            != Some(derive_accept_key(key.as_bytes()).as_bytes())
        {
            return unfit("has the wrong key: it is another request's");
        }
        if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return unfit("has an extension that was not offered");
        }
        match headers.get(header::SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if !self.subprotocols.iter().any(|offered| offered.as_bytes() == chosen.as_bytes()) => {
                unfit("has a subprotocol that was not offered")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a header has this word in its list.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
