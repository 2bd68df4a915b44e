//! The webhook: what it posts, and what it says when it is not heard.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use loadkit_core::RunId;
use loadkit_fleet::{Happening, Notifier, Webhook};

/// A server that answers one request with this, and tells what was asked.
fn server(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, (tell, told)) = (format!("http://{}/hook?key=secret", listener.local_addr().unwrap()), sync_channel(1));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut asked, mut length) = (String::new(), 0);
        while !asked.ends_with("\r\n\r\n") {
            let from = asked.len();
            reader.read_line(&mut asked).unwrap();
            if let Some((_, value)) = asked[from..].split_once("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        asked.push_str(&String::from_utf8(body).unwrap());
        stream.write_all(answer.as_bytes()).unwrap();
        tell.send(asked).unwrap();
    });
    (url, told)
}

fn stopped() -> Happening {
    Happening::Stopped { run: RunId(7), by: "me".into() }
}

#[tokio::test]
async fn a_happening_is_posted() {
    let (url, told) = server("HTTP/1.1 204 x\r\n\r\n");
    Webhook::new(&url).unwrap().tell(&stopped()).await.unwrap();
    let asked = told.recv().unwrap();
    assert!(asked.starts_with("POST /hook?key=secret HTTP/1.1\r\n"), "{asked}");
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Happening>(body).unwrap(), stopped());
}

#[tokio::test]
async fn who_does_not_listen_is_named_without_its_secret() {
    let (url, _told) = server("HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\ngone");
    let webhook = Webhook::new(&url).unwrap();
    let error = webhook.tell(&stopped()).await.unwrap_err();
    assert_eq!(error, "the webhook at 127.0.0.1: it answers 410 Gone: gone");
    // Nobody listens where somebody did.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let webhook = Webhook::new(&format!("http://{free}/hook?key=secret")).unwrap();
    let shown = format!("{webhook:?} {}", webhook.tell(&stopped()).await.unwrap_err());
    assert!(shown.contains("cannot be reached") && !shown.contains("secret"), "{shown}");
    assert!(Webhook::new("mailto:secret").is_err_and(|why| !why.contains("secret")));
}
