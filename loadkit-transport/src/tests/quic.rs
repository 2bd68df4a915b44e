//! QUIC against quinn, as its client and as its server; and both of our own ends in virtual time.

use std::num::NonZeroU32;
use std::sync::mpsc::SyncSender;

use loadkit_core::network::Profile;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint as Quinn, RecvStream, SendStream, ServerConfig, VarInt};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::servers::Log;
use super::*;
use crate::quic::{self, Config, Host, Identity, Server};
use crate::{Delivery, Endpoint, Quic, Trust};

/// A certificate of its own making for this name, and its key.
fn certificate(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

async fn read_frame(recv: &mut RecvStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    recv.read_exact(&mut len).await.ok()?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    recv.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

async fn write_frame(send: &mut SendStream, frame: &[u8]) {
    send.write_all(&(frame.len() as u32).to_be_bytes()).await.unwrap();
    send.write_all(frame).await.unwrap();
}

/// Echoes frames, messages and datagrams as they came; goes when it is told to.
async fn echo(connection: quinn::Connection) {
    let frames = async {
        while let Ok((mut send, mut recv)) = connection.accept_bi().await {
            let connection = connection.clone();
            tokio::spawn(async move {
                while let Some(frame) = read_frame(&mut recv).await {
                    if frame == b"kick me" {
                        connection.close(VarInt::from_u32(4_001), b"cheating");
                        return;
                    }
                    write_frame(&mut send, &frame).await;
                }
            });
        }
    };
    let messages = async {
        while let Ok(mut recv) = connection.accept_uni().await {
            let message = recv.read_to_end(1 << 20).await.unwrap();
            let mut send = connection.open_uni().await.unwrap();
            send.write_all(&message).await.unwrap();
            send.finish().unwrap();
        }
    };
    let datagrams = async {
        while let Ok(datagram) = connection.read_datagram().await {
            connection.send_datagram(datagram).unwrap();
        }
    };
    tokio::join!(frames, messages, datagrams);
}

/// quinn's server, on a thread of its own; it tells how its clients have left.
fn quinn_server() -> (SocketAddr, String, Log<String>) {
    let made = certificate("game.test");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let (told, log): (SyncSender<String>, _) = Log::new();
    let (addr_is, addr) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Quinn::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
            addr_is.send(endpoint.local_addr().unwrap()).unwrap();
            while let Some(incoming) = endpoint.accept().await {
                let told = told.clone();
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    echo(connection.clone()).await;
                    let _ = told.send(connection.closed().await.to_string());
                });
            }
        });
    });
    (addr.recv().unwrap(), made.cert.pem(), log)
}

#[test]
fn all_channels_echo_from_quinns_server() {
    let (addr, pem, log) = quinn_server();
    let trust = Trust::roots(pem).unwrap();
    let totals = bots!(3, at("quic://", addr), None, Real, move |cx, trust| {
        let game = cx.connect(Quic::new(Raw).trust(trust).server_name("game.test")).await?;
        let second = Channel::new(Delivery::Ordered, 1);
        for channel in [Channel::ORDERED, second, Channel::UNORDERED, Channel::UNRELIABLE] {
            for len in [1, 1_000, 200_000] {
                if channel == Channel::UNRELIABLE && len > 1_000 {
                    assert_eq!(game.send_on(channel, vec![7; len]).unwrap_err().kind(), Kind::TOO_LARGE);
                    continue;
                }
                game.send_on(channel, vec![7; len])?;
                assert!(cx.step("echo", game.recv()).await? == vec![7; len]);
            }
        }
        assert!(game.stats().srtt.is_some() && game.stats().packets_received > 10);
        if cx.seat().index() == 0 {
            game.send(&b"kick me"[..])?;
            let kicked = game.recv().await.unwrap_err();
            assert_eq!(kicked.kind(), Kind::CLOSED);
            assert!(kicked.message().contains("4001, \"cheating\""), "{kicked}");
            return Ok(());
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (3, 0), "{:?}", totals.samples);
    assert!(totals.trends["net.rtt"].values.count() > 10 && !totals.counts.contains_key("net.tls_unverified"));
    let mut left: Vec<String> = (0..3).map(|_| log.next()).collect();
    left.sort();
    assert_eq!(left, ["closed", "closed by peer: 0", "closed by peer: 0"]);
}

#[test]
fn quinns_certificate_is_verified_unless_the_flag_says_otherwise() {
    let (addr, _, _log) = quinn_server();
    let hello = |target: Target| {
        bots!(2, target, None, Real, |cx| {
            let game = cx.connect(Quic::new(Raw)).await?;
            game.send(&b"hello"[..])?;
            assert_eq!(game.recv().await?, &b"hello"[..]);
            Ok(())
        })
    };
    let refused = hello(at("quic://", addr));
    assert_eq!(refused.steps["connect"].failures, [("certificate".to_owned(), 2)]);
    assert!(refused.samples.first().unwrap().message.contains("--insecure"), "{:?}", refused.samples);
    let accepted = hello(at("", addr).unverified());
    assert_eq!((accepted.failed(), accepted.counts["net.tls_unverified"]), (0, 2), "{:?}", accepted.samples);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let totals = bots!(1, at("quic://", silent.local_addr().unwrap()), None, Real, |cx| {
        cx.connect(Quic::new(Raw).time_out(Duration::from_millis(50))).await?;
        Ok(())
    });
    assert_eq!(totals.steps["connect"].failures, [("timed-out".to_owned(), 1)], "{:?}", totals.samples);
}

#[test]
fn all_that_is_ordered_comes_through_a_bad_network_in_virtual_time() {
    let target = Target::new("mem://quic", vec![]).unverified();
    let totals = bots!(10, target, Some(serve_in_memory), Virtual, |cx| {
        let game = cx.connect(Quic::new(Raw).server_name("localhost").conditions(Profile::train_3g())).await?;
        for n in 0..50_u8 {
            game.send(vec![n; 700])?;
        }
        for n in 0..50_u8 {
            assert_eq!(game.recv().await?, vec![n; 700]);
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (10, 0), "{:?}", totals.samples);
}

#[test]
fn fifty_bots_share_two_sockets() {
    let (addr, _, log) = quinn_server();
    let totals = bots!(50, at("quic://", addr).unverified(), None, Real, |cx| {
        let game = cx.connect(Quic::new(Raw).shared(NonZeroU32::new(2).unwrap())).await?;
        for n in 0..20_u8 {
            game.send(vec![n; 200])?;
            assert_eq!(game.recv().await?, vec![n; 200]);
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (50, 0), "{:?}", totals.samples);
    (0..50).for_each(|_| assert_eq!(log.next(), "closed by peer: 0"));
}

/// Our server as a host: echoes on the same channel, and sends away whoever says so.
async fn host_echoes(mut host: Host) {
    while let Ok((peer, event)) = host.next().await {
        let Event::Message { channel, payload } = event else { continue };
        if payload == b"kick me"[..] {
            host.disconnect(peer, &quic::Goodbye { code: 4_001, reason: "cheating".into() });
        } else {
            host.send(peer, channel, &payload).unwrap();
        }
    }
}

fn server(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Server {
    let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
    Server::new(&Config::default(), identity, 1_000, [3, 4]).unwrap()
}

#[test]
fn quinns_client_is_echoed_by_our_server() {
    let made = certificate("game.test");
    let der: CertificateDer<'static> = made.cert.der().clone();
    let (addr_is, addr) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind_udp(([127, 0, 0, 1], 0).into()).unwrap();
            addr_is.send(endpoint.local_addr().unwrap()).unwrap();
            host_echoes(Host::new(server(&made), endpoint)).await;
        });
    });
    let addr = addr.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut roots = tokio_rustls::rustls::RootCertStore::empty();
        roots.add(der).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = Quinn::client(([127, 0, 0, 1], 0).into()).unwrap();
        let connection = endpoint.connect_with(config, addr, "game.test").unwrap().await.unwrap();

        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        for len in [0, 1, 200_000] {
            write_frame(&mut send, &vec![5; len]).await;
            assert!(read_frame(&mut recv).await.unwrap() == vec![5; len]);
        }
        let mut message = connection.open_uni().await.unwrap();
        message.write_all(&[6; 100_000]).await.unwrap();
        message.finish().unwrap();
        let mut back = connection.accept_uni().await.unwrap();
        assert!(back.read_to_end(1 << 20).await.unwrap() == vec![6; 100_000]);
        connection.send_datagram(Bytes::from_static(b"perhaps")).unwrap();
        assert_eq!(connection.read_datagram().await.unwrap(), &b"perhaps"[..]);
        write_frame(&mut send, b"kick me").await;
        let closed = connection.closed().await.to_string();
        assert_eq!(closed, "closed by peer: cheating (code 4001)");
    });
}

fn serve_in_memory() {
    tokio::task::spawn_local(async {
        let made = certificate("localhost");
        host_echoes(Host::new(server(&made), Endpoint::listen_mem("quic").unwrap())).await;
    });
}

#[test]
fn hundred_bots_play_in_memory_and_in_virtual_time() {
    let target = Target::new("mem://quic", vec![]).unverified();
    let totals = bots!(100, target, Some(serve_in_memory), Virtual, |cx| {
        let game = cx.connect(Quic::new(Raw).server_name("localhost")).await?;
        for n in 0..20_u8 {
            game.send_on(Channel::UNORDERED, vec![n; 64])?;
            assert_eq!(cx.step("echo", game.recv()).await?, vec![n; 64]);
            cx.sleep(Duration::from_secs(1)).await;
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (100, 0), "{:?}", totals.samples);
    assert_eq!((totals.steps["echo"].succeeded(), totals.counts["net.tls_unverified"]), (2_000, 100));
}
