//! The knobs of QUIC, and what quinn makes of them.

use std::sync::Arc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ids::NumberedIds;
use crate::framing::Framing;
use crate::tls::shared::Shared;
use crate::tls::{self, Trust};

/// What one stream may bring before it is read. It is read at once: this bounds what lies there out of order.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same of all streams of a connection.
const WINDOW: u32 = 1024 * 1024;
/// Bytes of datagrams that wait to be read; they are read at once.
const DATAGRAMS: usize = 64 * 1024;

thread_local! {
    static CLIENTS: Shared<(Trust, Config), ClientConfig> = const { Shared::new() };
    static ENDPOINTS: Shared<(), Arc<EndpointConfig>> = const { Shared::new() };
}

/// The knobs of a connection; both ends take the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How messages are told apart on ordered lanes, and how long a message may be, there and on unordered ones.
    pub framing: Framing,
    /// The names of the game's protocol, in the order of preference (ALPN, RFC 7301). Many servers want one.
    pub alpn: Vec<String>,
    /// Ordered lanes that the other side may open; both use those that either has opened. Each costs some 100 bytes,
    /// used or not.
    pub lanes: u8,
    /// Unordered messages that the other side may have under way. Each costs some 100 bytes, used or not.
    pub messages: u16,
    /// Bytes that may wait to be sent or to be acknowledged, of streams and of datagrams each.
    pub send_buffer: usize,
    /// Says something after so long without a word, so that the other side does not give up; `None` never does.
    pub keep_alive: Option<Duration>,
    /// The connection has ended when nothing has come for so long.
    pub time_out: Duration,
    /// The longest packet, in bytes: at least 1,200 (RFC 9000, section 14).
    pub packet: u16,
}

impl Default for Config {
    /// Four bytes of length and messages of at most 1 MiB, 4 lanes, 16 messages under way, 512 KiB to send, a word
    /// after 10 s, the end after 30 s, packets of 1,200 bytes.
    fn default() -> Config {
        Config {
            framing: Framing::default(),
            alpn: Vec::new(),
            lanes: 4,
            messages: 16,
            send_buffer: 512 * 1024,
            keep_alive: Some(Duration::from_secs(10)),
            time_out: Duration::from_secs(30),
            packet: 1_200,
        }
    }
}

impl Config {
    /// This shard's configuration of clients with these knobs that trust so.
    pub(super) fn client(&self, trust: &Trust) -> Result<ClientConfig, Failure> {
        CLIENTS.with(|clients| {
            clients.get((trust.clone(), self.clone()), || {
                let mut tls = trust.config()?;
                tls.alpn_protocols = self.alpn();
                let crypto = QuicClientConfig::try_from(tls).map_err(unusable)?;
                let mut config = ClientConfig::new(Arc::new(crypto));
                config.transport_config(Arc::new(self.transport()));
                Ok(config)
            })
        })
    }

    /// A server's configuration that is known by this certificate.
    pub(super) fn server(&self, identity: Identity) -> Result<ServerConfig, Failure> {
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(identity.chain, identity.key))
            .map_err(|error| tls::failure(&error))?;
        tls.alpn_protocols = self.alpn();
        let crypto = QuicServerConfig::try_from(tls).map_err(unusable)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(self.transport()));
        Ok(config)
    }

    /// What all endpoints of this shard share.
    pub(super) fn endpoint() -> Arc<EndpointConfig> {
        ENDPOINTS.with(|endpoints| endpoints.get((), || Ok(Arc::default())).unwrap_or_default())
    }

    /// The same for one whose connection ids all begin with this number.
    pub(super) fn numbered_endpoint(number: u32, seed: u64) -> Arc<EndpointConfig> {
        let mut config = EndpointConfig::clone(&Config::endpoint());
        config.cid_generator(move || Box::new(NumberedIds::new(number, seed)));
        Arc::new(config)
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        self.alpn.iter().map(|name| name.clone().into_bytes()).collect()
    }

    fn transport(&self) -> TransportConfig {
        let mut transport = TransportConfig::default();
        // A time beyond what can be said (RFC 9000, section 16) is as good as none.
        let time_out = IdleTimeout::try_from(self.time_out).ok();
        transport
            .max_concurrent_bidi_streams(self.lanes.into())
            .max_concurrent_uni_streams(VarInt::from_u32(self.messages.into()))
            .max_idle_timeout(time_out)
            .keep_alive_interval(self.keep_alive)
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
            .receive_window(VarInt::from_u32(WINDOW))
            .send_window(self.send_buffer as u64)
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .datagram_send_buffer_size(self.send_buffer)
            .initial_mtu(self.packet.max(1_200))
            .mtu_discovery_config(None)
            .enable_segmentation_offload(false);
        transport
    }
}

/// The certificate by which a server is known, with its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM: the certificate, followed by those of its issuers if there are any, and its private key.
    ///
    /// # Errors
    /// `TARGET` when either cannot be read.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity, Failure> {
        let unread = |error| Failure::new(Kind::TARGET, format!("the server's certificate cannot be read: {error}"));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_ref()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(unread)?;
        Ok(Identity { chain: chain.map_err(unread)?, key })
    }
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::TARGET, format!("QUIC cannot be set up: {error}"))
}
