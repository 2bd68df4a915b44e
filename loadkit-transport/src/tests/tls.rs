//! TLS against rustls's server.

use std::io::ErrorKind;
use std::sync::mpsc::SyncSender;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto};

use super::servers::{Log, serve};
use super::*;
use crate::Trust;

/// A server's certificate of its own making for these names, in PEM, and TLS with it.
pub(super) fn acceptor(names: &[&str], version: &'static SupportedProtocolVersion) -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let made = made.unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// How a connection ended at the server.
type Ended = Result<usize, ErrorKind>;

/// Echoes until the end.
async fn echo(acceptor: TlsAcceptor, stream: TcpStream, told: SyncSender<Ended>) {
    let told = |ended: Ended| told.send(ended).unwrap_or_default();
    let mut stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return told(Err(error.kind())),
    };
    let mut buf = vec![0; 100_000];
    loop {
        match stream.read(&mut buf).await {
            Ok(len @ 1..) => stream.write_all(&buf[..len]).await.unwrap(),
            result => return told(result.map_err(|error| error.kind())),
        }
    }
}

/// An echo server over TLS: its address, its certificate, and what happens there.
fn server(names: &[&str], version: &'static SupportedProtocolVersion) -> (SocketAddr, String, Log<Ended>) {
    let (pem, acceptor) = acceptor(names, version);
    let (told, log) = Log::new();
    let addr = serve(move |stream| echo(acceptor.clone(), stream, told.clone()));
    (addr, pem, log)
}

#[test]
fn frames_echo_over_tls_of_both_versions() {
    for version in [&TLS13, &TLS12] {
        let (addr, pem, log) = server(&["game.test"], version);
        let trust = Trust::roots(&pem).unwrap();
        let totals = bots!(5, at("tls://", addr), None, Real, move |cx, trust| {
            let game = cx.connect(Framed::new(Raw).trust(trust).server_name("game.test")).await?;
            for len in [1, 100, 16_384, 300_000] {
                game.send(vec![len as u8; len])?;
                assert!(game.recv().await? == vec![len as u8; len]);
            }
            game.send(&b"bye"[..])?;
            game.close().await
        });
        assert_eq!((totals.finished, totals.failed()), (5, 0), "{:?}", totals.samples);
        assert!(!totals.counts.contains_key("net.tls_unverified"));
        // Each has ended with its goodbye, and was not cut off.
        for _ in 0..5 {
            assert_eq!(log.next(), Ok(0));
        }
    }
}

#[test]
fn a_certificate_that_does_not_verify_is_refused_unless_the_flag_says_otherwise() {
    let (addr, pem, log) = server(&["game.test"], &TLS13);
    let plain = |target: Target| {
        bots!(2, target, None, Real, |cx| {
            let game = cx.connect(Framed::new(Raw)).await?;
            game.send(&b"hello"[..])?;
            assert_eq!(game.recv().await?, &b"hello"[..]);
            Ok(())
        })
    };
    let refused = plain(at("tls://", addr));
    assert_eq!(refused.steps["connect"].failures, [("certificate".to_owned(), 2)]);
    let message = &refused.samples.first().unwrap().message;
    for part in ["tls://127.0.0.1", "UnknownIssuer", "--insecure", "Trust::anything()"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!refused.counts.contains_key("net.tls_unverified"));
    // The server is told, too: it sees an alert and not only the end.
    assert_eq!([log.next(), log.next()], [Err(ErrorKind::InvalidData); 2]);

    let accepted = plain(at("tls://", addr).unverified());
    assert_eq!((accepted.failed(), accepted.counts["net.tls_unverified"]), (0, 2), "{:?}", accepted.samples);

    let in_code = bots!(1, at("tls://", addr), None, Real, |cx| {
        cx.connect(Framed::new(Raw).trust(Trust::anything())).await?;
        Ok(())
    });
    assert_eq!((in_code.failed(), in_code.counts["net.tls_unverified"]), (0, 1), "{:?}", in_code.samples);

    // The right issuer, and another name.
    let trust = Trust::roots(&pem).unwrap();
    let misnamed = bots!(1, at("tls://", addr), None, Real, move |cx, trust| {
        cx.connect(Framed::new(Raw).trust(trust)).await?;
        Ok(())
    });
    let sample = misnamed.samples.first().unwrap();
    assert!(sample.kind == "certificate" && sample.message.contains("not valid for name"), "{sample:?}");
    let unnamed = bots!(1, at("tls://", addr), None, Real, |cx| {
        cx.connect(Framed::new(Raw).server_name("no name at all")).await?;
        Ok(())
    });
    assert_eq!(unnamed.steps["connect"].failures, [("target".to_owned(), 1)], "{:?}", unnamed.samples);
}

/// What connecting fails with when the server answers the first that it reads so, and closes.
fn answered(answer: &'static [u8]) -> (String, String) {
    let addr = serve(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(answer).await;
    });
    let totals = bots!(1, at("tls://", addr), None, Real, |cx| {
        cx.connect(Framed::new(Raw)).await?;
        Ok(())
    });
    let sample = totals.samples.first().unwrap();
    (sample.kind.clone(), sample.message.clone())
}

#[test]
fn what_is_no_tls_is_refused() {
    for (answer, kind) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "tls"),
        // An alert: handshake_failure.
        (b"\x15\x03\x03\x00\x02\x02\x28", "tls"),
        // A record over the limit.
        (b"\x16\x03\x03\xff\xff", "tls"),
        (b"\x16\x03\x03", "closed"),
        (b"", "closed"),
    ] {
        let (got, message) = answered(answer);
        assert_eq!(got, kind, "{answer:?}: {message}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let addr = serve(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let totals = bots!(1, at("tls://", addr), None, Real, |cx| {
        cx.connect(Framed::new(Raw).time_out(Duration::from_millis(100))).await?;
        Ok(())
    });
    assert_eq!(totals.steps["connect"].failures, [("timed-out".to_owned(), 1)]);
}

/// Lets a TLS server's bytes through one at a time, and cuts the connection off after so many.
async fn drip(client: TcpStream, to: SocketAddr, most: usize) {
    let mut server = TcpStream::connect(to).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let down = async {
        for _ in 0..most {
            let Ok(byte) = from_server.read_u8().await else { return };
            if to_client.write_u8(byte).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}

#[test]
fn a_slow_drip_arrives_and_an_end_in_the_middle_is_told() {
    let (addr, _, _) = server(&["game.test"], &TLS13);
    let slow = serve(move |stream| drip(stream, addr, usize::MAX));
    let totals = bots!(1, at("tls://", slow).unverified(), None, Real, |cx| {
        let game = cx.connect(Framed::new(Raw)).await?;
        game.send(vec![3; 3_000])?;
        assert!(game.recv().await? == vec![3; 3_000]);
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    let cut = serve(move |stream| drip(stream, addr, 2_500));
    let totals = bots!(1, at("tls://", cut).unverified(), None, Real, |cx| {
        let game = cx.connect(Framed::new(Raw)).await?;
        game.send(vec![3; 3_000])?;
        let failure = game.recv().await.unwrap_err();
        assert_eq!(failure.kind(), Kind::CLOSED, "{failure}");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
}
