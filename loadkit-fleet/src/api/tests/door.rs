//! The door on a socket: where it opens, to whom it closes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fake::{Fake, behind_gateway};
use crate::api::listen::live_until;
use crate::api::{Access, Door, DoorError};

const LOOPBACK: &str = "127.0.0.1:0";

/// A door that is open until it is told to close.
async fn served() -> (SocketAddr, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let door = Door::open(LOOPBACK.parse().unwrap(), Access::Open).await.unwrap();
    let (addr, (stop, stopped)) = (door.addr(), oneshot::channel());
    (addr, stop, tokio::spawn(door.serve(Arc::new(Fake::new()), async move { drop(stopped.await) })))
}

async fn write(stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.writable().await?;
    stream.try_write(bytes).map(|written| assert_eq!(written, bytes.len()))
}

/// What comes until the connection is closed.
async fn read(stream: &TcpStream) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 4_096]);
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut buffer) {
            Ok(0) => return answer,
            Ok(read) => answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return format!("{answer}{error}"),
        }
    }
}

#[tokio::test]
async fn the_door_opens_to_loopback_or_to_tokens() {
    let refused = Door::open("0.0.0.0:0".parse().unwrap(), Access::Open).await.unwrap_err();
    assert!(matches!(refused, DoorError::Open(_)) && refused.to_string().contains("without tokens"), "{refused}");
    let gateway = behind_gateway().await.0;
    assert!(matches!(Door::open(LOOPBACK.parse().unwrap(), gateway).await, Err(DoorError::Gateway)));

    let (addr, stop, serving) = served().await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /v1/health HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    write(&stream, request.as_bytes()).await.unwrap();
    let answer = read(&stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"ok\":true"), "{answer}");
    // One that waits for its next request does not keep the door open.
    let idle = TcpStream::connect(addr).await.unwrap();
    write(&idle, format!("GET /v1/health HTTP/1.1\r\nhost: {addr}\r\n\r\n").as_bytes()).await.unwrap();
    idle.readable().await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(read(&idle).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_byte_a_minute_is_cut_off() {
    let (addr, _stop, _serving) = served().await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let began = Instant::now();
    // The first byte is soon there; the connection is closed before the second.
    write(&stream, b"G").await.unwrap();
    assert!(timeout(Duration::from_secs(60), read(&stream)).await.is_ok(), "it is still open after a minute");
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    // So is one that says nothing at all.
    let stream = TcpStream::connect(addr).await.unwrap();
    assert!(timeout(Duration::from_secs(60), read(&stream)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_is_cut_off() {
    const REQUESTS: usize = 400;
    let (addr, _stop, _serving) = served().await;
    let stream = TcpStream::connect(addr).await.unwrap();
    // The answers are more than the system keeps for one who does not read.
    let request = format!("GET /v1/openapi.json HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    write(&stream, request.repeat(REQUESTS).as_bytes()).await.unwrap();
    for _ in 0..120 {
        sleep(Duration::from_secs(1)).await;
    }
    let answers = read(&stream).await.matches("HTTP/1.1 200").count();
    assert!((1..REQUESTS).contains(&answers), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn live_streams_end_with_the_service() {
    let (stop, stopping) = watch::channel(false);
    let events = stream::once(async { Ok::<_, Infallible>("data: 1\n\n") }).chain(stream::pending());
    let live = Response::builder().header(CONTENT_TYPE, "text/event-stream").body(Body::from_stream(events)).unwrap();
    let heard = tokio::spawn(to_bytes(live_until(live, stopping).into_body(), 100));
    sleep(Duration::from_secs(3_600)).await;
    assert!(!heard.is_finished());
    stop.send_replace(true);
    assert_eq!(heard.await.unwrap().unwrap(), "data: 1\n\n");
}
