//! Where to, and the way there.

use std::fmt;
#[cfg(feature = "tls")]
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::HttpError;

/// A server: all that a connection depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Result<Origin, HttpError> {
        let wrong = |why: &str| HttpError::Url(format!("{uri}: {why}"));
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err(wrong("it would need TLS, and this was built without")),
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let host = uri.host().ok_or_else(|| wrong("there is no host in it"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Origin { tls, host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Connects, with whom it trusts.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Connector {
    /// Trusts whom browsers trust.
    #[cfg(feature = "tls")]
    pub(crate) fn new() -> Connector {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Connector { tls: config(roots) }
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn new() -> Connector {
        Connector {}
    }

    /// Trusts these certificates alone; those that are none are left out.
    #[cfg(feature = "tls")]
    pub(crate) fn trusting(certificates: &[Vec<u8>]) -> Connector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().map(|der| der.as_slice().into()));
        Connector { tls: config(roots) }
    }

    /// A connection that is driven by a task of its own, and ends with its sender.
    pub(crate) async fn connect(&self, origin: &Origin) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let failed = |why: &dyn fmt::Display| HttpError::Connect { to: origin.to_string(), why: why.to_string() };
        let tcp = TcpStream::connect((origin.host.as_str(), origin.port)).await.map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error))?;
        #[cfg(feature = "tls")]
        if origin.tls {
            let config = self.tls.clone().ok_or_else(|| failed(&"TLS cannot be set up"))?;
            let name = rustls::pki_types::ServerName::try_from(origin.host.clone()).map_err(|error| failed(&error))?;
            let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await;
            return handshake(tls.map_err(|error| failed(&error))?).await.map_err(|error| failed(&error));
        }
        handshake(tcp).await.map_err(|error| failed(&error))
    }
}

#[cfg(feature = "tls")]
fn config(roots: rustls::RootCertStore) -> Option<Arc<rustls::ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error is also the request's; without a request nobody asks.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_from_a_url() {
        let of = |url: &str| Origin::of(&url.parse().unwrap()).map(|origin| origin.to_string());
        assert_eq!(of("http://a.example/x"), Ok("a.example:80".into()));
        assert_eq!(of("http://[::1]:8080"), Ok("::1:8080".into()));
        assert!(matches!(of("ftp://a"), Err(HttpError::Url(why)) if why.contains("neither http://")));
        assert!(matches!(of("/a"), Err(HttpError::Url(_))));
        #[cfg(feature = "tls")]
        assert_eq!(of("https://a.example"), Ok("a.example:443".into()));
        #[cfg(not(feature = "tls"))]
        assert!(matches!(of("https://a.example"), Err(HttpError::Url(why)) if why.contains("built without")));
    }
}
