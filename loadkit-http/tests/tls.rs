//! TLS: who is trusted is talked to, and nobody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::sync::Arc;

use loadkit_http::http::Request;
use loadkit_http::{Bytes, Http, HttpError, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server with a certificate for `localhost`, which answers every request with `ok`.
async fn server() -> (SocketAddr, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().to_vec();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone().into()], key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not trust it hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buf = [0; 4_096];
                while stream.read(&mut buf).await.is_ok_and(|read| read > 0) {
                    stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    (at, certificate)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn who_is_trusted_is_talked_to() {
    let (at, certificate) = server().await;
    let http = Http::trusting(Limits::default(), &[certificate]);
    let url = format!("https://localhost:{}/", at.port());
    for _ in 0..2 {
        assert_eq!(http.send(get(&url)).await.unwrap().into_body(), "ok");
    }
    let another_name = format!("https://127.0.0.1:{}/", at.port());
    let error = http.send(get(&another_name)).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect { why, .. } if why.contains("certificate")), "{error}");
}

#[tokio::test]
async fn a_stranger_is_not() {
    let (at, _) = server().await;
    let error = Http::new(Limits::default()).send(get(&format!("https://localhost:{}/", at.port()))).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect { why, .. } if why.contains("UnknownIssuer")), "{error}");
    assert!(!error.may_be_done());
}
