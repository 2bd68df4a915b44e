//! The line over HTTP against the fleet's half of it, over a socket of this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use loadkit_core::RunId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Call, HttpLine, MAX_REQUEST, answer, error_of};
use crate::{
    Address, Claim, Command, Expect, Job, Line, LineError, MemoryStore, Order, Outbox, Phase, StoreLine, SystemClock,
    Terms, WorkerEnd, WorkerStatus, keys, put_json,
};

const RUN: RunId = RunId(9);

#[derive(Debug)]
struct Sink;

#[async_trait::async_trait]
impl Outbox for Sink {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        Ok(texts.len().min(3))
    }
}

async fn fleet() -> Arc<StoreLine> {
    let store = Arc::new(MemoryStore::new());
    let order = Order {
        run: RUN,
        plan: "plan".into(),
        seed: "1".into(),
        workers: 1,
        shards: None,
        one_machine: false,
        client: String::new(),
        mixed_builds: false,
        terms: Terms::default(),
    };
    put_json(&*store, keys::order(RUN), &order, Expect::Any).await.unwrap();
    put_json(&*store, keys::command(RUN), &Command::starting(1), Expect::Any).await.unwrap();
    Arc::new(StoreLine::new(store, Arc::new(Sink), Arc::new(SystemClock)))
}

/// Reads a request as far as its end; the path, the token, the body.
async fn read(stream: &mut tokio::net::TcpStream) -> Option<(String, bool, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        if stream.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        if all.len() >= end + 4 + length {
            let path = head.split(' ').nth(1)?.to_owned();
            return Some((path, head.contains("authorization: bearer secret"), all[end + 4..].to_vec()));
        }
    }
}

/// Serves the fleet's half at `/base`.
async fn serve(line: Arc<StoreLine>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some((path, known, body)) = read(&mut stream).await else { continue };
            let call = path.strip_prefix("/base/v1/workers/").and_then(Call::named);
            let (status, body) = match call {
                _ if !known => (401, br#"{"error":"this token is not known"}"#.to_vec()),
                None => (404, b"{}".to_vec()),
                Some(call) => answer(&*line, call, &body).await,
            };
            let head = format!("HTTP/1.1 {status} So\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
        }
    });
    url
}

fn job(run: RunId) -> Job {
    Job::new(run, 0, Address::Http { url: String::new(), token: String::new() })
}

#[tokio::test]
async fn all_calls_go_there_and_back() {
    let url = serve(fleet().await).await;
    let line = HttpLine::new(&url, "secret").unwrap();
    let (job, status) = (job(RUN), WorkerStatus { home: "test".into(), ..WorkerStatus::default() });
    let claimed = line.claim(&job, &status).await.unwrap();
    assert!(matches!(claimed, Claim::Granted { order, .. } if order.plan == "plan"));
    assert_eq!(line.claim(&job, &status).await, Ok(Claim::Taken));
    let held = line.beat(&job, Phase::Playing, &status).await.unwrap();
    assert!(matches!(held, crate::Beat::Held { command, .. } if command.start_at_ms == 1));
    let texts: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    assert_eq!(line.report(&job, &texts).await, Ok(3));
    assert_eq!(line.close(&job, &status, &WorkerEnd::default()).await, Ok(()));
    assert_eq!(line.beat(&job, Phase::Playing, &status).await, Ok(crate::Beat::Lost));
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let url = serve(fleet().await).await;
    let line = HttpLine::new(&url, "secret").unwrap();
    let status = WorkerStatus::default();
    assert_eq!(line.claim(&job(RunId(1)), &status).await, Err(LineError::UnknownRun));
    let beyond = Job { worker: 4, ..job(RUN) };
    assert!(matches!(line.claim(&beyond, &status).await, Err(LineError::Refused(why)) if why.contains("worker 4")));
    let stranger = HttpLine::new(&url, "other").unwrap();
    let refused = stranger.claim(&job(RUN), &status).await;
    assert_eq!(refused, Err(LineError::Refused("this token is not known".into())));
    assert!(!format!("{stranger:?}").contains("other"));
    let long = vec!["x".repeat(MAX_REQUEST)];
    assert!(matches!(line.report(&job(RUN), &long).await, Err(LineError::Refused(_))));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = HttpLine::new(&format!("http://{nobody}"), "secret").unwrap();
    assert!(matches!(nobody.claim(&job(RUN), &status).await, Err(LineError::Away(_))));
    assert!(matches!(error_of(429, String::new()), LineError::Away(_)));
    for (url, why) in [("https://x", "plain HTTP"), ("x", "no http"), ("http://a@b", "not sent"), ("", "write it as")] {
        let error = HttpLine::new(url, "t").unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_never_answers_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = HttpLine::new(&format!("http://{}", listener.local_addr().unwrap()), "t").unwrap();
    let (job, status) = (job(RUN), WorkerStatus::default());
    let (asked, _held) = tokio::join!(line.claim(&job, &status), listener.accept());
    assert!(matches!(asked, Err(LineError::Away(_))), "{asked:?}");
}

#[tokio::test]
async fn hostile_bodies_are_answered_in_words() {
    let line = fleet().await;
    for body in [&b""[..], b"{", b"[]", b"{\"who\":1}", &[0xff; 50]] {
        for call in [Call::Claim, Call::Beat, Call::Report, Call::Close] {
            let (status, body) = answer(&*line, call, body).await;
            assert_eq!(status, 400);
            assert!(String::from_utf8(body).unwrap().contains("no request of a worker"));
        }
    }
    assert_eq!(answer(&*line, Call::Claim, &vec![b' '; MAX_REQUEST + 1]).await.0, 413);
    assert_eq!(Call::named("launch"), None);
    assert_eq!(super::error_of(500, "x".into()), LineError::Away("it answered 500: x".into()));
}
