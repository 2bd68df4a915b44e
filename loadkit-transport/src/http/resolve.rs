//! `host:port -> address`, looked up once a minute by each shard.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

/// What was looked up is good for so long.
const KEEP: Duration = Duration::from_secs(60);
/// Names kept at most; with more, the oldest are looked up anew.
const KEPT: usize = 16;

struct Known {
    host: String,
    port: u16,
    until: Instant,
    addrs: Vec<SocketAddr>,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// The addresses of a service, at least one.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let now = Instant::now();
    let known = KNOWN.with_borrow_mut(|known| {
        known.retain(|known| known.until > now);
        let found = known.iter().find(|known| known.host == host && known.port == port);
        found.map(|known| known.addrs.clone())
    });
    if let Some(addrs) = known {
        return Ok(addrs);
    }
    let addrs: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    // Of a name with both families, the first is the system's choice: bots do not mix them.
    let is_ipv6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let addrs: Vec<SocketAddr> = addrs.into_iter().filter(|addr| addr.is_ipv6() == is_ipv6).collect();
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its name has no address"));
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push(Known { host: host.to_owned(), port, until: now + KEEP, addrs: addrs.clone() });
    });
    Ok(addrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_looked_up_once_and_numbers_not_at_all() {
        assert_eq!(resolve("::1", 80).await.unwrap(), [([0, 0, 0, 0, 0, 0, 0, 1], 80).into()]);
        assert!(KNOWN.with_borrow(Vec::is_empty));
        let first = resolve("localhost", 80).await.unwrap();
        assert!(first[0].ip().is_loopback());
        assert_eq!(resolve("localhost", 80).await.unwrap(), first);
        assert_eq!(KNOWN.with_borrow(Vec::len), 1);
        for port in 1..40 {
            resolve("localhost", port).await.unwrap();
        }
        assert_eq!(KNOWN.with_borrow(Vec::len), KEPT);
    }
}
