//! The target as written, and the addresses behind it.

use std::net::ToSocketAddrs;

use loadkit_core::Target;
use loadkit_transport::Address;

use super::outcome::UseError;

/// Links that a target may name, beside memory.
const SCHEMES: [&str; 8] = ["udp", "tcp", "tls", "ws", "wss", "quic", "http", "https"];

/// Resolves a target: `HOST:PORT`, also with a scheme before it and a path behind it, or `mem://NAME`, which has no
/// address.
pub(super) fn resolve(text: &str) -> Result<Target, UseError> {
    // As links do: with slashes and without.
    if text.starts_with("mem:") {
        return Ok(Target::new(text, Vec::new()));
    }
    let address = Address::parse(text);
    if let Some(scheme) = address.scheme.filter(|scheme| !SCHEMES.contains(scheme)) {
        let known = SCHEMES.join(", ");
        return Err(UseError::new(format!("the target {text:?} has the scheme {scheme:?}; there are {known} and mem")));
    }
    let Some(port) = address.port() else {
        return Err(UseError::new(format!("the target {text:?} has no port: write it as HOST:PORT")));
    };
    match (address.host, port).to_socket_addrs() {
        Ok(addrs) => {
            let addrs: Vec<_> = addrs.collect();
            if addrs.is_empty() {
                return Err(UseError::new(format!("the target {text:?} resolves to no address")));
            }
            // Of a name with both families, the first is the system's choice: bots do not mix them.
            let first = addrs.first().is_some_and(|addr| addr.is_ipv6());
            Ok(Target::new(text, addrs.into_iter().filter(|addr| addr.is_ipv6() == first).collect()))
        }
        Err(error) => Err(UseError::new(format!("the target {text:?} does not resolve: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_memory() {
        assert_eq!(resolve("127.0.0.1:4000").unwrap().addrs().len(), 1);
        assert_eq!(resolve("tcp://[::1]:80").unwrap().addrs()[0].port(), 80);
        assert_eq!(resolve("wss://127.0.0.1/game?v=2").unwrap().addrs()[0].port(), 443);
        assert_eq!(resolve("http://127.0.0.1:8080/").unwrap().name(), "http://127.0.0.1:8080/");
        for text in ["mem:arena", "mem://arena"] {
            let target = resolve(text).unwrap();
            assert_eq!((target.name(), target.addrs()), (text, [].as_slice()));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("127.0.0.1", "has no port"),
            ("host:70000", "has no port"),
            ("ftp://x:1", "there are udp, tcp, tls"),
            ("no-such-host.invalid:1", "does not resolve"),
        ] {
            let error = resolve(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
