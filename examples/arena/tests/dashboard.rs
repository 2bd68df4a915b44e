//! The Grafana dashboard shows figures that there are: every name in it is in a scrape of an arena run.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use loadkit::core::names;
use loadkit_tests::Child;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Counted only where something is wrong that cannot be brought about here.
const RARE: [&str; 5] =
    [names::TICKS_BEHIND, names::SENDS_REFUSED, names::SNAPSHOTS_DEFERRED, names::NAMES_LEFT_OUT, "net.resends"];

/// A count's name as Prometheus has it.
fn counter(name: &str) -> String {
    let name = name.replace('.', "_");
    format!("{}_total", if name.starts_with("loadkit") { name } else { format!("loadkit_{name}") })
}

fn arena(dir: &tempfile::TempDir, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    Child::start(command.args(args).current_dir(dir.path()).stdout(Stdio::piped()))
}

fn scrape(addr: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// All texts under keys of this name.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| texts(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

/// The names in an expression: words that begin with ours.
fn names_in(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("loadkit_"))
}

#[test]
fn every_name_in_it_is_in_a_scrape() {
    let dir = tempfile::tempdir().unwrap();
    // Some logins are ignored, so that steps and players fail.
    let server = arena(&dir, &["server", "--listen", "127.0.0.1:0", "--match-time", "1s", "--drop-logins", "50%"]);
    let line = server.first_line(LIMIT);
    let target = line.rsplit(' ').next().unwrap();
    // A login has a time-out of some seconds.
    let args = ["run", "--bots", "6", "--party", "3", "--duration", "7s", "--prometheus", "127.0.0.1:0"];
    let client = arena(&dir, &[&args[..], &["--target", target]].concat());
    let line = client.line_with("live figures: prometheus", LIMIT);
    let addr = line.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned();
    let first = scrape(&addr).unwrap();
    assert!(first.contains("loadkit_run_info{"), "{first}");
    // It says so on its way, and stays for a last scrape when the run is over. Until then it is asked now and then.
    client.says(" of 0:07", LIMIT);
    let mut last = first;
    while let Some(text) = scrape(&addr) {
        last = text;
    }
    client.wait(LIMIT);
    let shown: BTreeSet<&str> =
        last.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();

    let dashboard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/grafana/loadkit.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(dashboard).unwrap()).unwrap();
    let (mut exprs, mut queries) = (Vec::new(), Vec::new());
    texts(&dashboard, "expr", &mut exprs);
    texts(&dashboard, "query", &mut queries);
    assert!(exprs.len() > 30 && queries.len() >= 3);
    let rare = RARE.map(counter);
    let mut used = 0;
    for name in exprs.iter().chain(&queries).flat_map(|expr| names_in(expr)) {
        assert!(shown.contains(name) || rare.iter().any(|rare| rare == name), "no {name} in:\n{last}");
        used += 1;
    }
    assert!(used > 40, "{used}");
}
