//! Live sinks of a real client: whole where they can be, and where they are slow, dead or full, the run goes on, and what
//! they lost is counted and said.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadkit_tests::{Child, Output, rudp_server, tcp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(40);

fn run(dir: &Path, args: &[&str]) -> Output {
    Child::run(Command::new(env!("CARGO_BIN_EXE_client")).current_dir(dir).arg("run").args(args), LIMIT)
}

/// Plays for two seconds with these flags. The report must be whole, and the run no worse for its sinks.
fn play(flags: &[&str]) -> (Value, Output) {
    let dir = tempfile::tempdir().unwrap();
    play_in(dir.path(), flags)
}

fn play_in(dir: &Path, flags: &[&str]) -> (Value, Output) {
    let (addr, seen) = rudp_server(|_| {});
    let (addr, own) = (addr.to_string(), ["--bots", "3", "--duration", "2s", "--shards", "2", "--target"]);
    let output = run(dir, &[&own[..], &[&addr], flags].concat());
    let report: Value = serde_json::from_slice(&fs::read(dir.join("report/report.json")).unwrap()).unwrap();
    // The machine may be too busy for the figures to be believed. The sinks are no reason.
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
    let reasons = report["judgement"]["reasons"].to_string();
    assert!(!reasons.contains("sink"), "{reasons}");
    assert_eq!(seen.left(), 3, "all have played to the end");
    assert_eq!(report["steps"]["ping"]["succeeded"].as_u64().unwrap(), seen.messages(), "the report is whole");
    (report, output)
}

/// The warning of this sink, and what the report counts for it: intervals dropped, and intervals that did not arrive.
fn lost(report: &Value, sink: &str) -> (String, u64, u64) {
    let warnings = report["judgement"]["warnings"].as_array().unwrap();
    let warning = warnings.iter().filter_map(Value::as_str).find(|text| text.contains(&format!("the sink {sink} ")));
    let count = |name: &str| report["generator"]["counts"][format!("{name}{{sink={sink}}}")]["total"].as_u64().unwrap();
    let (dropped, errors) = (count("loadkit.sink_dropped"), count("loadkit.sink_errors"));
    (warning.unwrap_or_default().to_owned(), dropped, errors)
}

#[test]
fn dead_endpoints_and_a_full_disk_are_said_and_cost_nothing() {
    // Ports that were free a moment ago.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (otlp, udp) = (format!("http://{tcp}"), udp.to_string());
    let flags = ["--otlp", &otlp, "--statsd", &udp, "--json-lines", "/dev/full", "--emf", "whole.emf"];
    let (report, output) = play(&flags);
    for (sink, says) in [("otlp", "refused"), ("statsd", "could not be sent"), ("json-lines", "No space left")] {
        let (warning, _, errors) = lost(&report, sink);
        // The system says only after the first packets that nobody is there, or not at all if it was asked once.
        assert!(errors > 0, "{sink}: {report}");
        assert!(warning.contains(says) && warning.contains(" intervals ("), "{warning}");
        assert!(output.err.contains(&format!("warning: {warning}")), "{}", output.err);
    }
    assert!(output.out.contains("the sink otlp lost"), "the summary: {}", output.out);
    assert_eq!(lost(&report, "emf"), (String::new(), 0, 0), "the others' loss is not its own");
    let counts = &report["generator"]["counts"];
    let all: u64 = ["otlp", "statsd", "json-lines"].iter().map(|sink| lost(&report, sink).2).sum();
    assert_eq!(counts["loadkit.sink_errors"]["total"], all);
}

#[test]
fn a_collector_that_never_answers_is_left_behind() {
    // It reads nothing and says nothing, for as long as the client has patience.
    let addr = tcp_server(|stream| {
        let _ = stream.peek(&mut []);
        std::mem::forget(stream);
    });
    let (report, _) = play(&["--otlp", &format!("http://{addr}"), "--json-lines", "live.jsonl"]);
    let (warning, dropped, errors) = lost(&report, "otlp");
    assert!(dropped + errors >= 2, "{warning}");
    assert!(warning.contains("lost") && warning.contains(&format!(", {dropped} because it was slow)")), "{warning}");
    assert_eq!(lost(&report, "json-lines"), (String::new(), 0, 0));
}

#[test]
fn a_collector_that_answers_500_is_quoted() {
    let addr = tcp_server(|mut stream: TcpStream| {
        let mut head = [0; 65_536];
        let _ = std::io::Read::read(&mut stream, &mut head);
        let _ = stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 8\r\n\r\nno quota");
        // Read to the end, so that the answer is not cut off by what was not read.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let (report, _) = play(&["--otlp", &format!("http://{addr}")]);
    let (warning, dropped, errors) = lost(&report, "otlp");
    assert!(warning.contains("it answered 500 Internal Server Error: no quota"), "{warning}");
    assert!(errors >= 2 && dropped == 0, "{warning}");
}

#[test]
fn json_lines_add_up_to_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let (report, _) = play_in(dir.path(), &["--json-lines", "live.jsonl"]);
    let text = fs::read_to_string(dir.path().join("live.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 2, "{text}");
    let sum = |of: &dyn Fn(&Value) -> u64| lines.iter().map(of).sum::<u64>();
    for (step, figures) in report["steps"].as_object().unwrap() {
        let succeeded = sum(&|line| line["steps"][step]["succeeded"].as_u64().unwrap_or(0));
        assert_eq!(figures["succeeded"], succeeded, "{step}");
        let highest = lines.iter().filter_map(|line| line["steps"][step]["response"]["max_us"].as_u64()).max();
        assert_eq!(figures["response"]["max_us"].as_u64(), highest, "{step}");
    }
    for (count, figures) in report["connections"]["counts"].as_object().unwrap() {
        assert_eq!(figures["total"], sum(&|line| line["counts"][count].as_u64().unwrap_or(0)), "{count}");
    }
    assert_eq!(report["players"]["started"], sum(&|line| line["players"]["started"].as_u64().unwrap()));
    // One line an interval, whatever the number of threads, and no time in two of them.
    for pair in lines.windows(2) {
        assert_eq!(pair[0]["to_s"], pair[1]["from_s"]);
    }
}

#[test]
fn standard_output_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (_, output) = play_in(dir.path(), &["--json-lines", "-", "--quiet"]);
    let lines: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line["schema"] == "loadkit.interval/1"), "{}", output.out);
}

#[test]
fn wrong_flags_are_refused_before_anybody_plays() {
    let (addr, seen) = rudp_server(|_| {});
    let (dir, target) = (tempfile::tempdir().unwrap(), addr.to_string());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, says) in [
        (&["--prometheus", &taken][..], &[taken.as_str(), "in use", "port is free"][..]),
        (&["--prometheus", "9464"], &["--prometheus", "invalid socket address"]),
        (&["--json-lines", "no/such/live.jsonl"], &["no/such/live.jsonl cannot be written", "make its directory"]),
        (&["--emf", "."], &["cannot be written", "name a file in it"]),
        (&["--otlp", "https://127.0.0.1:4318"], &["\"https://127.0.0.1:4318\"", "TLS"]),
        (&["--otlp", "127.0.0.1:4318"], &["write it as http://127.0.0.1:4318"]),
        (&["--statsd", "127.0.0.1"], &["StatsD cannot go to \"127.0.0.1\"", "HOST:PORT"]),
        (&["--statsd-tags"], &["--statsd"]),
        (&["--json-lines", "-"], &["--json-lines - writes to standard output", "--quiet"]),
        (&["--json-lines", "-", "--emf", "-", "--quiet"], &["both write to standard output"]),
    ] {
        let output = run(dir.path(), &[&["--target", &target, "--bots", "1", "--duration", "1s"], flags].concat());
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{output:?}");
        for what in says {
            assert!(output.err.contains(what), "no `{what}` in:\n{}", output.err);
        }
    }
    assert_eq!(seen.joined(), 0, "nobody has played");
}
