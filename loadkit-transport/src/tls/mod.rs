//! TLS under streams: `tls://`, `wss://` and `https://` targets; and whom to trust, there and in QUIC.
//!
//! By rustls with the `ring` provider, TLS 1.3 and 1.2. Sessions are not resumed: each bot is a player of its own, and
//! its handshake is a whole one. A shard's connections share their configurations.
//!
//! A certificate that does not verify is refused, as a failure of the kind [`CERTIFICATE`]. A test server's may be
//! accepted, by [`Trust::anything`] in the bot's code or for the whole run by
//! [`Target::unverified`](loadkit_core::Target::unverified), which is the command line's `--insecure`: every
//! connection that was made so is counted as `net.tls_unverified`.

pub(crate) mod shared;
mod stream;
mod trust;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use loadkit_core::{Cx, Failure, Kind, names};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use self::shared::Shared;
pub(crate) use self::stream::TlsStream;
pub use self::trust::Trust;
use crate::address::Address;

/// The server's certificate does not verify.
pub const CERTIFICATE: Kind = Kind::new("certificate");
/// TLS failed, and not for the certificate.
pub(crate) const TLS: Kind = Kind::new("tls");
/// Bytes read at once during a handshake.
const READ: usize = 4_096;

thread_local! {
    static CONFIGS: Shared<(Trust, &'static [&'static [u8]]), Arc<ClientConfig>> = const { Shared::new() };
}

/// Whom a connection trusts, and under which name the server must be known.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Whom it trusts.
    pub trust: Trust,
    /// The name in the server's certificate; without one, the target's host.
    pub server_name: Option<String>,
}

impl Security {
    /// With what the run says: its target's name, and whether nothing is verified.
    pub(crate) fn of_run(mut self, cx: &Cx) -> Security {
        let target = cx.target();
        if target.is_unverified() {
            self.trust = Trust::anything();
        }
        self.server_name.get_or_insert_with(|| Address::parse(target.name()).host.to_owned());
        self
    }

    /// The name, as certificates have them.
    pub(crate) fn name(&self) -> Result<ServerName<'static>, Failure> {
        let name = self.server_name.clone().unwrap_or_default();
        ServerName::try_from(name).map_err(|_| {
            let what = format!(
                "{:?} cannot be in a certificate: give the server's name with `server_name`",
                self.server_name.as_deref().unwrap_or_default()
            );
            Failure::new(Kind::TARGET, what)
        })
    }

    /// This shard's configuration for those that trust alike and speak these protocols (ALPN).
    pub(crate) fn config(&self, alpn: &'static [&'static [u8]]) -> Result<Arc<ClientConfig>, Failure> {
        CONFIGS.with(|configs| {
            configs.get((self.trust.clone(), alpn), || {
                let mut config = self.trust.config()?;
                config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
                Ok(Arc::new(config))
            })
        })
    }
}

/// What went wrong in TLS, for whoever reads the report.
pub(crate) fn failure(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => unverified(error),
        _ => Failure::new(TLS, format!("TLS failed: {error}")),
    }
}

/// A certificate that does not verify, and what to do about it.
pub(crate) fn unverified(why: impl std::fmt::Display) -> Failure {
    let what = format!(
        "the server's certificate does not verify ({why}): give its issuer with Trust::roots; a test server's is \
         accepted with --insecure, or with Trust::anything() in the bot"
    );
    Failure::new(CERTIFICATE, what)
}

/// TLS over a stream that is connected, from this end.
pub(crate) async fn connect(
    cx: &Cx,
    stream: TcpStream,
    security: &Security,
    alpn: &'static [&'static [u8]],
) -> io::Result<TlsStream> {
    let config = security.config(alpn).map_err(io::Error::other)?;
    let name = security.name().map_err(io::Error::other)?;
    let mut stream = TlsStream::new(stream, config, name).map_err(|error| io::Error::other(failure(&error)))?;
    let mut buf = vec![0; READ];
    poll_fn(|cx| stream.poll_handshake(cx, &mut buf)).await?;
    if security.trust.is_unverified() {
        count_unverified(cx);
    }
    Ok(stream)
}

/// A connection was made without verifying the server's certificate: the report says so.
pub(crate) fn count_unverified(cx: &Cx) {
    cx.count(names::TLS_UNVERIFIED, 1);
}
