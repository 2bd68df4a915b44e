//! Echo servers of other makers for what goes over streams, and our own over QUIC: each on a thread of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use futures_util::{SinkExt, StreamExt};
use loadkit::core::Target;
use loadkit::transport::{Endpoint, Event, quic};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Bytes over TCP.
    Tcp,
    /// Bytes over TLS.
    Tls,
    /// WebSockets.
    Ws,
    /// WebSockets over TLS.
    Wss,
    /// HTTP: two bytes for whatever is asked.
    Http,
    /// QUIC, on all channels.
    Quic,
}

impl Served {
    /// All that there is.
    pub const ALL: [Served; 6] = [Served::Tcp, Served::Tls, Served::Ws, Served::Wss, Served::Http, Served::Quic];

    /// Its scheme in a target.
    pub fn scheme(self) -> &'static str {
        match self {
            Served::Tcp => "tcp",
            Served::Tls => "tls",
            Served::Ws => "ws",
            Served::Wss => "wss",
            Served::Http => "http",
            Served::Quic => "quic",
        }
    }

    /// A server at this address as a target.
    pub fn target(self, addr: SocketAddr) -> Target {
        Target::new(format!("{}://{addr}", self.scheme()), vec![addr])
    }

    /// Starts a server, which lasts as long as the process. Its certificate is of its own making.
    pub fn serve(self) -> SocketAddr {
        if self == Served::Quic {
            return serve_quic();
        }
        let acceptor = acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(self.answer(acceptor.clone(), stream));
                }
            });
        });
        addr
    }

    async fn answer(self, acceptor: TlsAcceptor, mut stream: TcpStream) {
        match self {
            Served::Tcp => echo_bytes(&mut stream).await,
            Served::Ws => echo_messages(stream).await,
            Served::Http => answer_requests(stream).await,
            Served::Tls | Served::Wss | Served::Quic => {
                let _ = stream.set_nodelay(true);
                let Ok(mut stream) = acceptor.accept(&mut stream).await else { return };
                if self == Served::Wss { echo_messages(stream).await } else { echo_bytes(&mut stream).await }
            }
        }
    }
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["game.test".to_owned()]).unwrap()
}

fn acceptor() -> TlsAcceptor {
    let made = certificate();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn echo_bytes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut buf = vec![0; 4_096];
    while let Ok(len @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..len]).await.is_err() {
            return;
        }
    }
}

async fn echo_messages(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let config = WebSocketConfig::default().read_buffer_size(2_048).write_buffer_size(0);
    let Ok(mut socket) = accept_async_with_config(stream, Some(config)).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if !message.is_close() && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn answer_requests(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut buf = [0; 1_024];
    while let Ok(len @ 1..) = stream.read(&mut buf).await {
        request.extend_from_slice(&buf[..len]);
        if request.ends_with(b"\r\n\r\n") {
            request = Vec::new();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
    }
}

fn serve_quic() -> SocketAddr {
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let made = certificate();
            let identity = quic::Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
            let server = quic::Server::new(&quic::Config::default(), identity, 20_000, [1, 2]).unwrap();
            let endpoint = Endpoint::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(endpoint.local_addr().unwrap()).unwrap();
            let mut host = quic::Host::new(server, endpoint);
            while let Ok((peer, event)) = host.next().await {
                if let Event::Message { channel, payload } = event {
                    let _ = host.send(peer, channel, &payload);
                }
            }
        });
    });
    told.recv().unwrap()
}
