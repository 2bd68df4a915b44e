use std::io::{Read, Write};
use std::net::TcpStream;

use loadkit_core::{Collector, MetricSink};

use super::*;
use crate::fan::{Fan, FanOptions};
use crate::testing::{labels, snapshot};

const SECOND: Duration = Duration::from_secs(1);

/// What the endpoint says to these bytes.
fn ask(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(20 * SECOND)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    // Whoever is turned away may see a reset.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8(said).unwrap()
}

fn get(addr: SocketAddr, path: &str) -> String {
    ask(addr, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

fn started() -> (SocketAddr, Fan<Collector>) {
    let sink = Prometheus::open("127.0.0.1:0".parse().unwrap(), &labels()).unwrap();
    let options = FanOptions { flush: 20 * SECOND, ..FanOptions::new(SECOND, 1, || SECOND) };
    (sink.addr(), Fan::start(Collector::new(SECOND), vec![Box::new(sink)], &options).unwrap())
}

#[tokio::test]
async fn the_last_figures_wait_for_who_asks_for_them() {
    let (addr, mut fan) = started();
    let before = get(addr, "/metrics");
    assert!(before.starts_with("HTTP/1.1 200 OK\r\n") && before.contains("loadkit_run_info{"), "{before}");
    assert!(before.contains("text/plain; version=0.0.4"), "{before}");
    for seq in 0..5 {
        fan.publish(&snapshot(0, seq, seq * 1_000, seq * 1_000 + 1_000)).await.unwrap();
    }
    // The endpoint stays until it has been asked once more: the last answer of all has the last figures.
    let scrapes = std::thread::spawn(move || {
        let all = std::iter::from_fn(|| Some(get(addr, "/metrics"))).take(10_000);
        all.filter(|text| !text.is_empty()).find(|text| text.contains("loadkit_run_covered_seconds 5\n"))
    });
    let (_, deliveries) = fan.finish();
    assert!(scrapes.join().unwrap().is_some());
    assert_eq!((deliveries[0].delivered(), deliveries[0].warning()), (5, None));
}

#[test]
fn what_is_no_scrape_is_answered_too() {
    let (addr, fan) = started();
    assert!(get(addr, "/").contains("200 OK") && get(addr, "/").contains("/metrics"));
    assert!(get(addr, "/nothing").contains("404 Not Found"));
    assert!(ask(addr, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").contains("405"));
    assert!(ask(addr, b"\x16\x03\x01 not HTTP at all\r\n\r\n").starts_with("HTTP/1.1 400"), "and it goes on");
    let head = ask(addr, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    drop(fan);
}

#[test]
fn idle_connections_are_bounded_and_others_are_turned_away() {
    let (addr, fan) = started();
    let idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(addr).unwrap()).collect();
    // They are taken in the order in which they came, so that the next is one too many.
    assert_eq!(get(addr, "/metrics"), "");
    drop(idle);
    // When those have gone, there is room again.
    assert!((0..1_000).any(|_| get(addr, "/metrics").contains("200 OK")));
    drop(fan);
}

#[test]
fn an_address_in_use_is_refused() {
    let (addr, _fan) = started();
    let error = Prometheus::open(addr, &labels()).unwrap_err().to_string();
    assert!(error.contains(&addr.to_string()) && error.contains("in use") && error.contains("port is free"), "{error}");
}
