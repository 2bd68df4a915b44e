//! `ws://127.0.0.1:4000/game -> where to knock`: a target as far as `ci` must know it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use crate::exit::Failure;

/// What stands for a free port, in commands and in targets.
pub(super) const PORT: &str = "{port}";
/// So long a knock may take.
const KNOCK: Duration = Duration::from_millis(500);
/// What nobody refuses in this time, on one machine, somebody has taken.
const REFUSAL: Duration = Duration::from_millis(100);
/// Ports that are tried before none is free.
const TRIES: usize = 20;

/// A target, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    before: String,
    host: String,
    port: String,
    after: String,
}

impl Address {
    /// Takes a target apart; `{port}` may stand for its port.
    pub(super) fn parse(target: &str) -> Result<Address, Failure> {
        let wrong = |what: &str| {
            Failure::wrong_use(format!("the target {target:?} {what}"))
                .mended_by("write it as HOST:PORT, or with a scheme: ws://127.0.0.1:4000")
        };
        if target.starts_with("mem:") {
            return Err(wrong("is memory, which no other process reaches"));
        }
        let (before, rest) = target.split_once("://").map_or(("", target), |(scheme, rest)| (scheme, rest));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        let default = match before {
            "http" | "ws" => Some("80"),
            "https" | "wss" => Some("443"),
            _ => None,
        };
        let split = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = match (split, default) {
            (Some(split), _) => split,
            (None, Some(port)) => (authority, port),
            (None, None) => return Err(wrong("has no port")),
        };
        if host.is_empty() || port != PORT && port.parse::<u16>().is_err() {
            return Err(wrong("has no host and port that can be read"));
        }
        let before = if before.is_empty() { String::new() } else { format!("{before}://") };
        Ok(Address { before, host: host.to_owned(), port: port.to_owned(), after: after.to_owned() })
    }

    /// The same at another port.
    pub(super) fn at(&self, port: u16) -> Address {
        Address { port: port.to_string(), ..self.clone() }
    }

    /// As the client takes it.
    pub(super) fn target(&self) -> String {
        let Address { before, host, port, after } = self;
        format!("{before}{host}:{port}{after}")
    }

    /// Whether the port is still to be chosen.
    pub(super) fn is_open(&self) -> bool {
        self.port == PORT
    }

    /// Whether it is on this machine for sure.
    pub(super) fn is_local(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether somebody answers there: takes a connection, or does not refuse a datagram. Only the machine itself tells that
    /// of datagrams reliably. Without a scheme it may be either.
    pub(super) async fn answers(&self) -> bool {
        let streams = matches!(self.before.as_str(), "tcp://" | "tls://" | "ws://" | "wss://" | "http://" | "https://");
        let datagrams = matches!(self.before.as_str(), "udp://" | "quic://");
        let place = format!("{}:{}", self.host, self.port);
        let Ok(Ok(found)) = timeout(KNOCK, lookup_host(place)).await else { return false };
        for at in found {
            if !datagrams && matches!(timeout(KNOCK, TcpStream::connect(at)).await, Ok(Ok(_))) {
                return true;
            }
            if !streams && takes_datagrams(at).await {
                return true;
            }
        }
        false
    }
}

/// Whether an empty datagram is not refused.
async fn takes_datagrams(at: SocketAddr) -> bool {
    let from = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let Ok(socket) = UdpSocket::bind(from).await else { return false };
    if socket.connect(at).await.is_err() || socket.send(&[]).await.is_err() {
        return false;
    }
    match timeout(REFUSAL, socket.recv(&mut [0; 1])).await {
        Ok(Err(error)) => error.kind() != ErrorKind::ConnectionRefused,
        _ => true,
    }
}

/// A port that nobody has, for streams and for datagrams.
pub(super) fn free_port() -> Result<u16, Failure> {
    for _ in 0..TRIES {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { continue };
        let Ok(at) = listener.local_addr() else { continue };
        if std::net::UdpSocket::bind(at).is_ok() {
            return Ok(at.port());
        }
    }
    Err(Failure::missing("the system gives no free port").mended_by("cargo loadkit doctor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_and_put_together() {
        for (target, host, port, local) in [
            ("127.0.0.1:4000", "127.0.0.1", "4000", true),
            ("ws://localhost:{port}/game?v=1", "localhost", "{port}", true),
            ("[::1]:80", "[::1]", "80", true),
            ("udp://game.test:4000", "game.test", "4000", false),
        ] {
            let address = Address::parse(target).unwrap();
            assert_eq!((address.host.as_str(), address.port.as_str(), address.is_local()), (host, port, local));
            assert_eq!((address.target(), address.is_open()), (target.to_owned(), port == PORT));
        }
        assert_eq!(Address::parse("http://a.test/x").unwrap().target(), "http://a.test:80/x");
        assert_eq!(Address::parse("ws://127.0.0.1:1/x").unwrap().at(9).target(), "ws://127.0.0.1:9/x");
        for (target, why) in [
            ("127.0.0.1", "has no port"),
            ("[::1]", "has no port"),
            ("mem://arena", "is memory"),
            (":4000", "has no host and port"),
            ("a:b", "has no host and port"),
        ] {
            let failure = Address::parse(target).unwrap_err();
            assert!(failure.what().contains(why), "{failure}");
        }
    }

    #[tokio::test]
    async fn who_listens_answers() {
        let free = free_port().unwrap();
        let at = |scheme: &str| Address::parse(&format!("{scheme}127.0.0.1:{free}")).unwrap();
        for scheme in ["", "tcp://", "udp://"] {
            assert!(!at(scheme).answers().await, "{scheme}");
        }
        let _datagrams = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, free)).unwrap();
        assert!(at("").answers().await && at("udp://").answers().await && !at("ws://").answers().await);
        let _streams = TcpListener::bind((Ipv4Addr::LOCALHOST, free)).unwrap();
        assert!(at("http://").answers().await);
    }
}
