//! What a policy's texts stand for: callers, hosts, networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// No pattern is longer.
const MAX_PATTERN: usize = 300;

/// A caller's name, with `*` for anything but a colon: so the parts of an ARN are matched each by itself, as IAM's `ArnLike`
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallerPattern(String);

impl CallerPattern {
    pub(crate) fn parse(text: &str) -> Result<CallerPattern, String> {
        check_text("a caller", text)?;
        Ok(CallerPattern(text.to_owned()))
    }

    pub(crate) fn fits(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.as_bytes(), b':')
    }
}

/// A host's name. `*.` at its start stands for one or more labels, any other `*` for a part of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    /// Below this name, at any depth.
    below: bool,
    text: String,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.text)
    }
}

impl HostPattern {
    pub(super) fn parse(text: &str) -> Result<HostPattern, String> {
        check_text("a host", text)?;
        let lower = text.to_ascii_lowercase();
        if lower.contains('/') {
            return Err(format!(
                "{text:?} is no host's name: networks go into `networks`, ports and paths are left out"
            ));
        }
        if lower == "*" {
            return Ok(HostPattern { below: false, text: lower });
        }
        if lower.contains(':') && lower.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{text:?} is no host's name: leave out the scheme and the port"));
        }
        Ok(match lower.strip_prefix("*.") {
            Some(rest) if !rest.is_empty() => HostPattern { below: true, text: rest.to_owned() },
            _ => HostPattern { below: false, text: lower },
        })
    }

    /// `host` is in lower case, without a dot at its end.
    pub(super) fn fits(&self, host: &str) -> bool {
        if self.text == "*" && !self.below {
            return !host.is_empty();
        }
        if !self.below {
            return glob(self.text.as_bytes(), host.as_bytes(), b'.');
        }
        // The rest of the pattern fits what follows some dot.
        host.match_indices('.').any(|(at, _)| {
            at > 0 && host.get(at + 1..).is_some_and(|rest| glob(self.text.as_bytes(), rest.as_bytes(), b'.'))
        })
    }
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.trim() != text {
        return Err(format!("{text:?} is no pattern of {what}: it is empty, or has spaces around it"));
    }
    if text.len() > MAX_PATTERN {
        return Err(format!("a pattern of {what} has at most {MAX_PATTERN} bytes"));
    }
    Ok(())
}

/// Whether the text fits the pattern, where `*` stands for any number of bytes but `stop`. In time `pattern x text`.
fn glob(pattern: &[u8], text: &[u8], stop: u8) -> bool {
    // The set of places in the pattern that can be reached, moved along with the text.
    let mut reached = vec![false; pattern.len() + 1];
    let open = |reached: &mut Vec<bool>| {
        for (place, byte) in pattern.iter().enumerate() {
            if *byte == b'*'
                && reached.get(place) == Some(&true)
                && let Some(next) = reached.get_mut(place + 1)
            {
                *next = true;
            }
        }
    };
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    open(&mut reached);
    for byte in text {
        let mut moved = vec![false; pattern.len() + 1];
        for (place, wanted) in pattern.iter().enumerate() {
            if reached.get(place) != Some(&true) {
                continue;
            }
            let to = match wanted {
                b'*' if *byte != stop => place,
                wanted if wanted == byte && *wanted != b'*' => place + 1,
                _ => continue,
            };
            if let Some(cell) = moved.get_mut(to) {
                *cell = true;
            }
        }
        open(&mut moved);
        reached = moved;
    }
    reached.last() == Some(&true)
}

/// Addresses that begin alike: `10.0.0.0/8`, one address, or `loopback` or `private`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Loopback,
    /// Loopback too: what does not leave the studio.
    Private,
    Of(IpAddr, u8),
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Loopback => f.write_str("loopback"),
            Network::Private => f.write_str("private"),
            Network::Of(addr, length) => write!(f, "{addr}/{length}"),
        }
    }
}

impl Network {
    pub(super) fn parse(text: &str) -> Result<Network, String> {
        match text {
            "loopback" => return Ok(Network::Loopback),
            "private" => return Ok(Network::Private),
            _ => {}
        }
        let bad =
            || format!("{text:?} is no network: write one such as 10.0.0.0/8, an address, `loopback` or `private`");
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| bad())?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(bits);
        if length > bits {
            return Err(format!("{text:?} is no network: the length of its prefix is at most {bits}"));
        }
        let first = masked(addr, length);
        if first != addr {
            return Err(format!("{text:?} has bits behind its prefix: write {first}/{length}"));
        }
        Ok(Network::Of(addr, length))
    }

    pub(super) fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        match self {
            Network::Loopback => addr.is_loopback(),
            Network::Private => is_private(addr),
            Network::Of(first, length) => {
                first.is_ipv4() == addr.is_ipv4() && masked(addr, *length) == masked(*first, *length)
            }
        }
    }
}

/// The first address that begins with the same so many bits.
fn masked(addr: IpAddr, length: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(addr.to_bits() & mask))
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & mask))
        }
    }
}

/// Loopback, the private networks of RFC 1918 and the unique local ones of RFC 4193.
pub(super) fn is_private(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(addr) => addr.is_loopback() || addr.is_private(),
        IpAddr::V6(addr) => addr.is_loopback() || addr.is_unique_local(),
    }
}

/// Where no game server is: a cloud's metadata service, all machines of a network, nobody.
pub(super) fn is_never_a_target(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(addr) => {
            addr.is_link_local() || addr.is_multicast() || addr.is_broadcast() || addr.octets().first() == Some(&0)
        }
        // fd00:ec2::254 is the metadata service over IPv6.
        IpAddr::V6(addr) => {
            addr.is_unicast_link_local()
                || addr.is_multicast()
                || addr.is_unspecified()
                || addr == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// The host of a target, `scheme://host:port/path`, as the client takes it apart (`Address` of loadkit-transport): if the two
/// differed, a target could be written that is checked as one host and played against another.
pub(crate) fn host_of(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
