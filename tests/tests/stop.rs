//! Stop means stop: players who can leave do so politely, and after the end no packet leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use loadkit::core::{Collector, Control, Ended, Host, Job, RunId, Seed, Stop, Target, run};
use loadkit::transport::{Bytes, Datagram, Raw, Rudp};
use loadkit::{Bot, Cx, Os, Plan, Result, Scenario, Seat};
use loadkit_tests::{Child, Output, rudp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);
/// As long as the sink listens for what must not come: longer than any timer of a connection.
const SILENCE: Duration = Duration::from_millis(1_500);
/// The test says it to the sink when the run is over.
const OVER: &[u8] = b"over";

/// Players who send all the time, and never look up to see whether they are to leave.
struct Chatter {
    is_reliable: bool,
}

struct Chatterer {
    is_reliable: bool,
}

impl Scenario for Chatter {
    type Bot = Chatterer;

    fn bot(&self, _: Seat) -> Chatterer {
        Chatterer { is_reliable: self.is_reliable }
    }
}

impl Bot for Chatterer {
    async fn run(&mut self, cx: &Cx) -> Result {
        if self.is_reliable {
            // The sink does not answer: hellos go on.
            cx.connect(Rudp::new(Raw).time_out(LIMIT)).await?;
        }
        let game = cx.connect(Datagram::new(Raw)).await?;
        let mut every = tokio::time::interval(Duration::from_millis(10));
        loop {
            every.tick().await;
            game.send(Bytes::from_static(b"still here"))?;
        }
    }
}

/// Plays against a sink that tells `control` to stop after so many packets. How it ended, how many packets had come
/// then, and how many came after.
fn after_the_end(is_reliable: bool, plan: Plan, stop: Option<(u64, Stop)>) -> (Ended, u64, u64) {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(SILENCE)).unwrap();

    let addr = sink.local_addr().unwrap();
    let target = Target::new("sink", vec![addr]);
    let control = Control::new();
    let asks = control.clone();
    let counting = std::thread::spawn(move || {
        let (mut before, mut after, mut is_over, mut buf) = (0, 0, false, [0; 2_048]);
        loop {
            match sink.recv(&mut buf) {
                Ok(len) if buf[..len] == *OVER => is_over = true,
                Ok(_) if is_over => after += 1,
                Ok(_) => before += 1,
                Err(_) if is_over => return (before, after),
                Err(_) => {}
            }
            if let Some((packets, stop)) = stop
                && before == packets
            {
                asks.stop(stop);
            }
        }
    });
    let job = Job { shards: 2, ..Job::whole(RunId(1), plan, target, Seed(1)) };
    let host: Arc<dyn Host> = Arc::new(Os);
    let mut collector = Collector::new(job.plan.interval());
    let ended = run(&Arc::new(Chatter { is_reliable }), &job, &host, &control, &mut collector).unwrap();
    // Loopback delivers in the order of sending: what comes behind this was sent after the end.
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(OVER, addr).unwrap();
    let (before, after) = counting.join().unwrap();
    assert_eq!(collector.totals().cut_off, 10, "nobody left by himself");
    (ended, before, after)
}

fn ten(duration: Duration, grace: Duration) -> Plan {
    Plan::builder().bots(10).duration(duration).grace(grace).build().unwrap()
}

#[test]
fn no_packet_leaves_after_a_stop_at_once() {
    let (ended, before, after) = after_the_end(false, ten(LIMIT, LIMIT), Some((200, Stop::Now)));
    assert_eq!((ended.asked, after), (Stop::Now, 0));
    assert!(before >= 200);
}

#[test]
fn no_packet_leaves_after_the_grace_time() {
    let begin = Instant::now();
    let grace = Duration::from_millis(300);
    let (ended, before, after) = after_the_end(false, ten(Duration::from_millis(500), grace), None);
    assert_eq!((ended.asked, after), (Stop::No, 0));
    // They were sending to the last: ten at 100 Hz for 0.8 s.
    assert!(before > 400, "{before}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn no_hello_of_a_handshake_leaves_after_the_end() {
    let (_, before, after) = after_the_end(true, ten(Duration::from_millis(300), Duration::from_millis(300)), None);
    assert!(before >= 10 && after == 0, "{before} before, {after} after");
}

/// A client whose server tells when so many messages have come.
fn interrupted(scenario: &str, signals: &[&str]) -> (Output, Value, u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let (tell, told) = sync_channel(1);
    let (addr, seen) = rudp_server(move |heard| {
        if heard == 40 {
            let _ = tell.try_send(());
        }
    });
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client.args(["run", "--scenario", scenario, "--target", &addr.to_string(), "--bots", "20", "--duration", "60s"]);
    let child = Child::start(client.current_dir(dir.path()).stdout(Stdio::piped()));
    told.recv_timeout(LIMIT).unwrap();
    for (nth, signal) in signals.iter().enumerate() {
        child.signal(signal);
        if nth + 1 < signals.len() {
            // The next when it has been understood: it says so.
            child.says("stopping", LIMIT);
        }
    }
    let output = child.wait(LIMIT);
    let report = serde_json::from_slice(&std::fs::read(dir.path().join("report/report.json")).unwrap()).unwrap();
    (output, report, seen.joined(), seen.left())
}

#[test]
fn the_first_ctrl_c_lets_the_players_leave() {
    for signal in ["INT", "TERM"] {
        let begin = Instant::now();
        let (output, report, joined, left) = interrupted("rudp", &[signal]);
        assert!(begin.elapsed() < Duration::from_secs(15), "not at the end of the plan");
        assert_eq!((joined, left, output.code), (20, 20, Some(0)), "{output:?}");
        assert!(output.err.contains("the players are asked to leave"), "{}", output.err);
        assert!(output.out.contains("the run was stopped"), "{}", output.out);
        let players = &report["players"];
        assert_eq!((&players["finished"], &players["cut_off"], &players["failed"]), (&20.into(), &0.into(), &0.into()));
        assert_eq!(report["steps"]["leave"]["succeeded"], 20);
        assert!(report["steps"]["ping"]["succeeded"].as_u64().unwrap() >= 35);
    }
}

#[test]
fn the_second_ctrl_c_ends_at_once_and_reports() {
    let begin = Instant::now();
    let (output, report, _, _) = interrupted("stubborn", &["INT", "INT"]);
    assert!(begin.elapsed() < Duration::from_secs(8), "the grace time is 10 s: {:?}", begin.elapsed());
    assert!(output.err.contains("stopping at once"), "{}", output.err);
    assert_eq!(report["players"]["cut_off"], 20, "{output:?}");
    assert!(output.out.contains("20 cut off"), "{}", output.out);
    assert!(report["steps"]["ping"]["succeeded"].as_u64().unwrap() >= 35);
}
