//! From the start of a Lambda's process to the first packet of a player, and what a zip of it weighs: `cargo xtask cold-start`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use loadkit::Plan;
use loadkit_tests::{Army, RuntimeApi};
use serde_json::json;

/// The variable that names the binary: the arena's, static, with the feature `lambda`.
const BOOTSTRAP: &str = "LOADKIT_TEST_BOOTSTRAP";
const STARTS: u32 = 21;
/// What is promised.
const MAX_MS: f64 = 100.0;
const MAX_BYTES: usize = 8 << 20;

/// The time to the first packet, ms.
fn start(bootstrap: &str) -> f64 {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let target = server.local_addr().unwrap().to_string();
    let plan = Plan::builder().target(target).bots(1).duration(Duration::from_secs(30)).build().unwrap();
    let army = Army::new(&plan, 1, "");
    let api = RuntimeApi::new();
    api.invoke(army.job(0).to_json(), Duration::from_secs(900));
    let began = Instant::now();
    // It is ended when it is dropped.
    let _process = api.start(Command::new(bootstrap).stdout(Stdio::null()));
    server.recv_from(&mut [0; 2_048]).unwrap();
    began.elapsed().as_secs_f64() * 1_000.0
}

#[test]
#[ignore = "it measures a binary that `cargo xtask cold-start` builds"]
fn the_first_packet_leaves_soon_and_the_zip_is_small() {
    let bootstrap = std::env::var(BOOTSTRAP).unwrap();
    let mut zipped = DeflateEncoder::new(Vec::new(), Compression::best());
    let binary = std::io::copy(&mut File::open(&bootstrap).unwrap(), &mut zipped).unwrap();
    zipped.flush().unwrap();
    let zip = zipped.finish().unwrap().len();
    let mut times: Vec<f64> = (0..STARTS).map(|_| start(&bootstrap)).collect();
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    let notes = json!({ "least": least, "most": most, "starts": STARTS });
    println!(
        "{}",
        json!({ "figure": "cold_start.first_packet_ms", "value": median, "at_most": MAX_MS, "notes": notes })
    );
    let notes = json!({ "binary_bytes": binary });
    println!("{}", json!({ "figure": "cold_start.zip_bytes", "value": zip, "at_most": MAX_BYTES, "notes": notes }));
    assert!(median <= MAX_MS && zip <= MAX_BYTES, "{median} ms, {zip} bytes");
}
