//! WebSockets against tokio-tungstenite's server.

use std::sync::mpsc::SyncSender;

use futures_util::{SinkExt, StreamExt};
use loadkit_core::network::Profile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Asked, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::servers::{Log, serve};
use super::*;
use crate::Ws;

/// Checks what is asked for: at `/closed` nobody gets in, all others get the second subprotocol.
#[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
fn doorman(asked: &Asked, mut response: Response) -> Result<Response, ErrorResponse> {
    if asked.uri().path() == "/closed" {
        let mut refusal = ErrorResponse::new(Some("the season is over".into()));
        *refusal.status_mut() = StatusCode::FORBIDDEN;
        return Err(refusal);
    }
    assert_eq!(asked.uri(), "/game?v=2");
    assert_eq!(asked.headers()["authorization"], "Bearer 123");
    assert_eq!(asked.headers()["sec-websocket-protocol"], "v1, v2");
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("v2"));
    Ok(response)
}

/// Echoes as it was sent, after a ping; says how the client has left.
async fn echo(stream: TcpStream, left: SyncSender<Option<CloseFrame>>) {
    let Ok(mut socket) = accept_hdr_async(stream, doorman).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Close(how) => left.send(how).unwrap_or_default(),
            Message::Text(text) if text.as_str() == "kick me" => {
                let frame = CloseFrame { code: 4_001.into(), reason: Utf8Bytes::from_static("cheating") };
                socket.close(Some(frame)).await.unwrap();
            }
            Message::Pong(payload) => assert_eq!(&payload[..], b"are you there?"),
            message => {
                socket.send(Message::Ping(Bytes::from_static(b"are you there?"))).await.unwrap();
                socket.send(message).await.unwrap();
            }
        }
    }
}

fn game(text: bool) -> Ws<Raw> {
    let game = Ws::new(Raw).path("/game?v=2").header("authorization", "Bearer 123");
    let game = game.subprotocol("v1").subprotocol("v2");
    if text { game.text() } else { game }
}

#[test]
fn messages_echo_and_both_sides_say_goodbye() {
    let (told, log) = Log::new();
    let addr = serve(move |stream| echo(stream, told.clone()));
    let totals = bots!(5, at("ws://", addr), None, Real, |cx| {
        let binary = cx.connect(game(false)).await?;
        for len in [0, 1, 125, 126, 65_535, 65_536, 400_000] {
            binary.send(vec![7; len])?;
            assert!(binary.recv().await? == vec![7; len]);
        }
        let too_large = binary.send(vec![0; (1 << 20) + 1]).unwrap_err();
        assert_eq!(too_large.kind(), Kind::TOO_LARGE);
        binary.close().await?;
        let text = cx.connect(game(true)).await?;
        text.send("grüß dich".as_bytes())?;
        assert_eq!(text.recv().await?, "grüß dich".as_bytes());
        text.send(&b"kick me"[..])?;
        let kicked = text.recv().await.unwrap_err();
        assert_eq!(kicked.kind(), Kind::CLOSED);
        assert!(kicked.message().ends_with("the server closed the WebSocket: 4001, \"cheating\""), "{kicked}");
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (5, 0), "{:?}", totals.samples);
    let mut left: Vec<u16> = (0..10).map(|_| log.next().unwrap().code.into()).collect();
    left.sort_unstable();
    assert_eq!(left, [[1_000; 5], [4_001; 5]].concat());
}

#[test]
fn the_last_message_and_the_goodbye_come_through_a_bad_network() {
    let (told, log) = Log::new();
    let addr = serve(move |stream| echo(stream, told.clone()));
    let totals = bots!(3, at("ws://", addr), None, Real, |cx| {
        let socket = cx.connect(game(false).conditions(Profile::lte())).await?;
        socket.send(&b"hello"[..])?;
        assert_eq!(socket.recv().await?, &b"hello"[..]);
        socket.send(&b"the last"[..])?;
        socket.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (3, 0), "{:?}", totals.samples);
    (0..3).for_each(|_| assert_eq!(log.next().map(|how| u16::from(how.code)), Some(1_000)));
}

#[test]
fn a_refused_upgrade_is_told_with_its_status() {
    let (told, _log) = Log::new();
    let addr = serve(move |stream| echo(stream, told.clone()));
    let totals = bots!(2, at("ws://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw).path("/closed")).await?;
        Ok(())
    });
    assert_eq!(totals.steps["connect"].failures, [("http-403".to_owned(), 2)]);
    let sample = &totals.samples.first().unwrap().message;
    assert!(sample.contains("answered with 403 Forbidden: \"the season is over\""), "{sample}");
}

/// Reads a request to its end, and gives its key.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    while !request.contains("\r\n\r\n") {
        let mut buf = [0; 1_024];
        let len = stream.read(&mut buf).await.unwrap();
        request.push_str(std::str::from_utf8(&buf[..len]).unwrap());
    }
    request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
}

/// Upgrades, and then sends these bytes, one at a time.
async fn upgrade_and_send(mut stream: TcpStream, bytes: Vec<u8>) {
    let key = read_request(&mut stream).await;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    for byte in answer.into_bytes().into_iter().chain(bytes) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    // Until the client has left.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// What a bot's first message, or its failure, is when the server sends this after the upgrade.
fn after(bytes: &'static [u8]) -> (String, String) {
    let addr = serve(|stream| upgrade_and_send(stream, bytes.to_vec()));
    let totals = bots!(1, at("ws://", addr), None, Real, |cx| {
        let game = cx.connect(Ws::new(Raw).max_message(1_000)).await?;
        let message = cx.step("first", game.recv()).await?;
        Err(Error::new("message", format!("{message:?}")))
    });
    let sample = totals.samples.first().unwrap();
    (sample.kind.clone(), sample.message.clone())
}

#[test]
fn what_a_server_must_not_send_ends_the_connection() {
    assert_eq!(after(b"\x82\x03abc"), ("message".into(), "b\"abc\"".into()), "dripped byte by byte");
    for (bytes, kind, part) in [
        (&b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"[..], "too-large", "of at most 1000"),
        (b"\x01\x7e\x03\xe9", "too-large", "a message of 1001 bytes"),
        (b"\xff\x01x", "malformed", "unknown kind"),
        (b"\x81\x01\xff", "malformed", "not UTF-8"),
        (b"\x82\x81abcde", "malformed", "masked"),
        (b"\x88\x00", "closed", "without a code"),
    ] {
        let (got, message) = after(bytes);
        assert!(got == kind && message.contains(part), "{bytes:?}: {got}, {message}");
    }
}

/// What connecting fails with when the server answers the upgrade so.
fn answered(answer: &'static [u8]) -> (String, String) {
    let addr = serve(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(answer).await;
    });
    let totals = bots!(1, at("ws://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw)).await?;
        Ok(())
    });
    let sample = totals.samples.first().unwrap();
    (sample.kind.clone(), sample.message.clone())
}

#[test]
fn an_answer_that_is_no_upgrade_is_refused() {
    const LONG: &[u8] = &[b'x'; 20_000];
    for (answer, kind, part) in [
        (&b"SSH-2.0-OpenSSH_9.7\r\n"[..], "malformed", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "http-200", "200 OK"),
        (b"HTTP/1.1 101 Hi\r\n\r\n", "malformed", "no WebSocket"),
        (
            b"HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "malformed",
            "wrong key",
        ),
        (b"HTTP/1.1 1", "closed", "closed the connection"),
        (b"", "closed", "closed the connection"),
        (LONG, "malformed", "not HTTP"),
    ] {
        let (got, message) = answered(answer);
        assert!(got == kind && message.contains(part), "{got}, {message}");
    }
    // A header that never ends.
    let addr = serve(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 101 Hi\r\nX: ").await;
        while stream.write_all(&[b'x'; 1_000]).await.is_ok() {}
    });
    let totals = bots!(1, at("ws://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw)).await?;
        Ok(())
    });
    assert_eq!(totals.steps["connect"].failures, [("too-large".to_owned(), 1)], "{:?}", totals.samples);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let addr = serve(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let totals = bots!(1, at("ws://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw).time_out(Duration::from_millis(100))).await?;
        Ok(())
    });
    assert_eq!(totals.steps["connect"].failures, [("timed-out".to_owned(), 1)], "{:?}", totals.samples);
    let mistaken = bots!(1, at("quic://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw)).await?;
        Ok(())
    });
    assert_eq!(mistaken.steps["connect"].failures, [("target".to_owned(), 1)]);
    let header = bots!(1, at("ws://", addr), None, Real, |cx| {
        cx.connect(Ws::new(Raw).header("x", "1\r\ny: 2")).await?;
        Ok(())
    });
    assert!(header.samples.first().unwrap().message.contains("no header of HTTP"), "{:?}", header.samples);
}
