//! Servers that refuse, keep silent, close, or send what nobody can read: failures of the right kind, and a clear word.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use loadkit_tests::{Child, Datagrams, Output, echo_frames, frame, tcp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// Three players of this scenario for a second and a half; how it ended, and the report. They tick so seldom that a
/// busy machine, which is late for some ticks, does not make the run invalid.
fn play(scenario: &str, target: SocketAddr, more: &[&str]) -> (Output, Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client.current_dir(dir.path()).args(["run", "--scenario", scenario, "--target", &target.to_string()]);
    let output = Child::run(client.args(["--bots", "3", "--duration", "1500ms"]).args(more), LIMIT);
    assert!(!output.err.contains("panicked"), "{output:?}");
    let json = std::fs::read(dir.path().join("report/report.json")).unwrap_or_else(|_| panic!("no report: {output:?}"));
    let page = std::fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    assert!(page.contains(&target.to_string()));
    (output, serde_json::from_slice(&json).unwrap())
}

/// The kinds by which a step failed, and whether it ever succeeded.
fn failures(report: &Value, step: &str) -> (Vec<String>, u64, u64) {
    let step = &report["steps"][step];
    let kinds = step["failed_by_kind"].as_object().map(|kinds| kinds.keys().cloned().collect()).unwrap_or_default();
    (kinds, step["failed"].as_u64().unwrap_or(0), step["succeeded"].as_u64().unwrap_or(0))
}

/// All of a step's tries failed by this kind, and said this.
fn all_failed(report: &Value, step: &str, kind: &str, says: &str) {
    let (kinds, failed, succeeded) = failures(report, step);
    assert_eq!((kinds.as_slice(), succeeded), ([kind.to_owned()].as_slice(), 0), "{report:#}");
    assert!(failed >= 3, "all of them tried: {failed}");
    let samples = report["failures"].as_array().unwrap();
    let said = samples.iter().any(|sample| sample["message"].as_str().unwrap().contains(says));
    assert!(said, "no `{says}` in {samples:#?}");
}

/// Nobody could play: invalid, with the one reason that names the target.
fn nobody_played(output: &Output, report: &Value, target: SocketAddr, says: &[&str]) {
    assert_eq!(output.code, Some(3), "{output:?}");
    let reasons = report["judgement"]["reasons"].as_array().unwrap();
    assert_eq!(report["judgement"]["verdict"], "invalid", "{reasons:#?}");
    let reason = reasons[0]["text"].as_str().unwrap();
    for what in says.iter().copied().chain([target.to_string().as_str()]) {
        assert!(reason.contains(what), "no `{what}` in: {reason}");
    }
    assert!(output.out.starts_with("\nINVALID"), "{}", output.out);
}

/// An address at which nobody listens: its port was free a moment ago.
fn nobody() -> SocketAddr {
    let (tcp, udp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (tcp, udp);
        }
    };
    drop(udp);
    tcp.local_addr().unwrap()
}

/// Reads until the client goes, and says nothing.
fn silent(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Says this to the first frame, and keeps the connection.
fn say(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.read(&mut [0; 64]);
    let _ = stream.write_all(bytes);
    silent(stream);
}

#[test]
fn a_target_that_refuses() {
    for scenario in ["tcp", "rudp"] {
        let target = nobody();
        let (output, report) = play(scenario, target, &[]);
        nobody_played(&output, &report, target, &["refused", "nobody listens", "is the server running"]);
        all_failed(&report, "connect", "refused", "nobody listens");
    }
}

#[test]
fn a_target_that_never_answers() {
    let silence = Datagrams::serve(|_| None);
    let (output, report) = play("rudp", silence.addr, &[]);
    nobody_played(
        &output,
        &report,
        silence.addr,
        &["timed-out", "did not answer within 0.8 s", "is the server running"],
    );
    all_failed(&report, "connect", "timed-out", "did not answer");
    assert!(silence.count() >= 3);
}

#[test]
fn a_server_that_takes_connections_and_says_nothing() {
    let (output, report) = play("tcp", tcp_server(silent), &["--threshold", "errors(ping) < 1%"]);
    all_failed(&report, "ping", "timed-out", "no reply to Ping within 0.4 s");
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(failures(&report, "connect").2 >= 3);
}

#[test]
fn a_server_that_closes_at_once() {
    let (output, report) = play("tcp", tcp_server(drop), &["--threshold", "errors(ping) < 1%"]);
    let ((kinds, pings, succeeded), (_, connects, _)) = (failures(&report, "ping"), failures(&report, "connect"));
    assert_eq!((kinds.as_slice(), succeeded), (["closed".to_owned()].as_slice(), 0), "{report:#}");
    // The end of a connection may come while it is still being made.
    assert!(pings + connects >= 3, "all of them tried: {pings} and {connects}");
    assert_eq!(output.code, Some(3), "{output:?}");
}

#[test]
fn a_server_that_closes_in_mid_play() {
    let target = tcp_server(|mut stream| {
        for _ in 0..5 {
            let mut word = [0; 12];
            if stream.read_exact(&mut word).is_err() || stream.write_all(&word).is_err() {
                return;
            }
        }
    });
    let (output, report) = play("tcp", target, &["--threshold", "errors(ping) < 1%"]);
    let (kinds, failed, succeeded) = failures(&report, "ping");
    // Five answers to each player, of whom the last may have had some when the run was over.
    assert_eq!(kinds, ["closed"]);
    assert!(failed >= 3 && (failed * 5..=(failed + 3) * 5).contains(&succeeded), "{failed} and {succeeded}");
    assert_eq!(output.code, Some(1), "{output:?}");
}

#[test]
fn a_server_that_sends_garbage_in_frames() {
    // Frames that are no words: the call that waits is told, or waits for its time to be over.
    let target = tcp_server(|stream| say(stream, &frame(b"no word of ours").repeat(3)));
    let (output, report) = play("tcp", target, &["--threshold", "errors(ping) < 1%"]);
    let (kinds, failed, succeeded) = failures(&report, "ping");
    assert!(matches!(kinds.as_slice(), [kind] if kind == "malformed" || kind == "timed-out"), "{kinds:?}");
    assert!(failed >= 3 && succeeded == 0);
    assert_eq!(output.code, Some(1), "{output:?}");
}

#[test]
fn a_server_that_sends_oversized_frames_or_another_protocol() {
    for bytes in [&[0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3][..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let target = match bytes[0] {
            0x7F => tcp_server(|stream| say(stream, &[0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3])),
            _ => tcp_server(|stream| say(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        };
        let (output, report) = play("tcp", target, &["--threshold", "errors(ping) < 1%"]);
        all_failed(&report, "ping", "too-large", "of at most 1048576");
        assert_eq!(output.code, Some(3), "{output:?}");
    }
}

#[test]
fn a_server_that_never_finishes_its_frame() {
    let target = tcp_server(|stream| say(stream, &frame(&[7; 1_000])[..500]));
    let (_, report) = play("tcp", target, &[]);
    all_failed(&report, "ping", "timed-out", "no reply");
}

#[test]
fn datagrams_of_garbage() {
    // Of every length up to a large packet, to each datagram.
    let garbage =
        |seed: &[u8]| (0..1_200).map(|i| seed[i % seed.len()].wrapping_mul(31).wrapping_add(i as u8)).collect();
    let server = Datagrams::serve(move |datagram| Some(garbage(datagram)));
    let (output, report) = play("rudp", server.addr, &[]);
    nobody_played(&output, &report, server.addr, &["timed-out"]);
    assert!(report["connections"]["counts"]["net.packets_received"]["total"].as_u64().unwrap() >= 3);

    let server = Datagrams::serve(move |datagram| Some(garbage(datagram)));
    let (_, report) = play("udp", server.addr, &[]);
    let (kinds, failed, succeeded) = failures(&report, "ping");
    assert!(matches!(kinds.as_slice(), [kind] if kind == "malformed" || kind == "timed-out"), "{kinds:?}");
    assert!(failed >= 3 && succeeded == 0);
}

#[test]
fn a_server_of_datagrams_that_is_there_sometimes() {
    // Answers every other: what was answered is in the figures, what was not is a failure.
    let turn = std::sync::atomic::AtomicU64::new(0);
    let server = Datagrams::serve(move |word| {
        (turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 7 != 6).then(|| word.to_vec())
    });
    let (output, report) = play("udp", server.addr, &["--threshold", "errors(ping) < 90%"]);
    let (kinds, failed, succeeded) = failures(&report, "ping");
    assert_eq!((kinds, output.code), (vec!["timed-out".to_owned()], Some(0)), "{output:?}");
    assert!(failed > 0 && succeeded > failed, "{failed} and {succeeded}");
    // Those that were under way at the end are in neither.
    assert!((failed + succeeded..=failed + succeeded + 3).contains(&server.count()));
}

#[test]
fn a_server_that_is_well() {
    let (output, report) = play("tcp", tcp_server(echo_frames), &["--threshold", "errors(ping) < 1%"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!((&report["players"]["failed"], &report["players"]["finished"]), (&Value::from(0), &Value::from(3)));
}

#[test]
fn a_target_that_refuses_or_never_answers_datagrams() {
    // They have no handshake, so that every player seems connected. That is no success.
    for target in [nobody(), Datagrams::serve(|_| None).addr] {
        let (output, report) = play("udp", target, &[]);
        assert_eq!(output.code, Some(3), "{output:?}");
        let (kinds, failed, succeeded) = failures(&report, "ping");
        assert!(matches!(kinds.as_slice(), [kind] if kind == "refused" || kind == "timed-out"), "{kinds:?}");
        assert!(failed >= 3 && succeeded == 0, "{failed} and {succeeded}");
    }
}
