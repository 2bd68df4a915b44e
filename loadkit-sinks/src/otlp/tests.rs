use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::testing::{labels, second};

/// A collector that answers each request with these bytes and tells what it was sent, head and body.
fn collector(answer: Vec<u8>) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = sync_channel(16);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut got = Vec::new();
            let mut byte = [0];
            while !got.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                got.push(byte[0]);
            }
            let head = String::from_utf8(got).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
            let _ = stream.read_exact(&mut body);
            let _ = stream.write_all(&answer);
            let _ = tell.try_send((head, body));
        }
    });
    (addr, told)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
}

async fn send(answer: Vec<u8>) -> (Result<u64, SinkError>, Receiver<(String, Vec<u8>)>) {
    let (addr, told) = collector(answer);
    let mut otlp = Otlp::open(&format!("http://{addr}"), labels()).unwrap();
    (otlp.take(&second()).await, told)
}

#[tokio::test]
async fn an_interval_is_a_request() {
    let (sent, told) = send(answer("200 OK", b"")).await;
    assert_eq!(sent, Ok(0));
    let (head, body) = told.recv().unwrap();
    assert!(head.starts_with("post /v1/metrics http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf") && head.contains("host: 127.0.0.1:"), "{head}");
    let request = wire::Request::decode(body.as_slice()).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let data =
        |name: &str| metrics.iter().find(|metric| metric.name == name).and_then(|metric| metric.data.clone()).unwrap();
    let wire::Data::Exponential(response) = data("loadkit.step.response") else { panic!("a histogram") };
    assert_eq!(response.temporality, i32::from(wire::Temporality::Delta));
    let [point] = response.points.as_slice() else { panic!("the part has a name of its own") };
    assert_eq!((point.count, point.sum, point.min, point.max), (4, Some(0.256), Some(0.001), Some(0.25)));
    assert_eq!((point.start_ns, point.time_ns), (1_700_000_001_000_000_000, 1_700_000_002_000_000_000));
    let positive = point.positive.as_ref().unwrap();
    assert_eq!(positive.counts.iter().sum::<u64>(), 4);
    let wire::Data::Sum(sent) = data("loadkit.net.packets_sent") else { panic!("a sum") };
    assert_eq!((sent.is_monotonic, sent.points[0].value), (true, Some(wire::Value::Int(500))));
}

#[tokio::test]
async fn what_a_collector_says_is_the_error() {
    let refused = wire::Reply {
        partial_success: Some(wire::PartialSuccess { rejected_data_points: 7, error_message: "too old".into() }),
    };
    for (status, body, says) in [
        ("500 Internal Server Error", b"out of\x07 order".to_vec(), "500 Internal Server Error: out of order"),
        ("429 Too Many Requests", Vec::new(), "it answered 429"),
        ("200 OK", refused.encode_to_vec(), "rejected 7 data points: too old"),
    ] {
        let error = send(answer(status, &body)).await.0.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for nonsense in [b"nonsense\r\n\r\n".to_vec(), Vec::new()] {
        assert!(send(nonsense).await.0.is_err());
    }
    let huge = answer("200 OK", &vec![b'x'; MAX_REPLY + 1]);
    assert!(send(huge).await.0.unwrap_err().to_string().contains("its answer"));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_is_not_waited_for() {
    // It takes the connection into its queue, and nothing more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut otlp = Otlp::open(&format!("http://{}", listener.local_addr().unwrap()), labels()).unwrap();
    assert_eq!(otlp.take(&second()).await.unwrap_err().to_string(), "no answer within 5 s");
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_said_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut otlp = Otlp::open(&format!("http://{gone}/else/where?x=1"), labels()).unwrap();
    assert_eq!(otlp.place(), format!("http://{gone}/else/where?x=1"));
    assert!(otlp.take(&second()).await.unwrap_err().to_string().contains("refused"));
}

#[test]
fn urls_that_are_none_are_refused() {
    for (url, why) in [
        ("127.0.0.1:4318", "http://"),
        ("https://x:4318", "TLS"),
        ("http://me:secret@127.0.0.1:4318", "passwords are not sent"),
        ("http://no-such-host.invalid:4318", "no-such-host.invalid"),
        ("grpc://x:4317", "not gRPC"),
        ("http://", "OTLP cannot go"),
        ("", "OTLP cannot go"),
        ("http://x y", "OTLP cannot go"),
    ] {
        let error = Otlp::open(url, labels()).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("write it as"), "{error}");
    }
}
