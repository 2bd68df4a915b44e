//! `"wss://host:port/path" -> its parts`: what a target says besides its address.

/// A target as the user wrote it, in parts: `scheme://host:port/path`, of which only the host must be there.
///
/// ```
/// # use loadkit_transport::Address;
/// let address = Address::parse("wss://[::1]:8443/game");
/// assert_eq!((address.scheme, address.host, address.port, address.path), (Some("wss"), "::1", Some(8_443), "/game"));
/// assert_eq!(Address::parse("http://shop.test").port(), Some(80));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// What stands before `://`.
    pub scheme: Option<&'a str>,
    /// The name or the IP address, without brackets.
    pub host: &'a str,
    /// The port, where it is written and is a number that a port can be.
    pub port: Option<u16>,
    /// Host and port as written.
    pub authority: &'a str,
    /// From the first `/` on; empty without one.
    pub path: &'a str,
}

impl<'a> Address<'a> {
    /// Takes a target apart. What is not there is empty; nothing is resolved.
    pub fn parse(text: &'a str) -> Address<'a> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (authority, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Address { scheme, host, port, authority, path }
    }

    /// The port as written; without one, the port of the scheme where that has one (RFC 9110, RFC 6455).
    pub fn port(&self) -> Option<u16> {
        let usual = match self.scheme {
            Some("http" | "ws") => Some(80),
            Some("https" | "wss") => Some(443),
            _ => None,
        };
        // A port that cannot be one is a mistake, and not the usual one.
        let is_written = self.authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        if is_written { self.port } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_found_and_none_is_made_up() {
        let parts = |text| {
            let address = Address::parse(text);
            (address.scheme, address.host, address.port(), address.authority, address.path)
        };
        assert_eq!(parts("game.test:4000"), (None, "game.test", Some(4_000), "game.test:4000", ""));
        assert_eq!(parts("[::1]:80"), (None, "::1", Some(80), "[::1]:80", ""));
        assert_eq!(parts("wss://[::1]/a/b:c"), (Some("wss"), "::1", Some(443), "[::1]", "/a/b:c"));
        assert_eq!(parts("https://x?q=1"), (Some("https"), "x", Some(443), "x", "?q=1"));
        assert_eq!(parts("ws://x:70000/"), (Some("ws"), "x", None, "x:70000", "/"));
        assert_eq!(parts("tls://x"), (Some("tls"), "x", None, "x", ""));
        assert_eq!(parts(""), (None, "", None, "", ""));
    }
}
