//! Live sinks against the real things: a Prometheus server and its checks, the official Python packages of Prometheus and
//! OTLP, and the StatsD daemon. What they have in the end is what the report has.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use loadkit_tests::{Child, Output, rudp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a client that plays for so long. The figures of each protocol are in it too.
fn client(dir: &Path, target: SocketAddr, seconds: &str, flags: &[&str]) -> Child {
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client.args(["run", "--bots", "5", "--shards", "2", "--duration", seconds, "--target", &target.to_string()]);
    Child::start(client.args(flags).current_dir(dir).stdout(Stdio::piped()))
}

/// Its report, when it has ended with nothing lost.
fn report(dir: &Path, output: &Output) -> Value {
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
    let report: Value = serde_json::from_slice(&fs::read(dir.join("report/report.json")).unwrap()).unwrap();
    assert!(!report["judgement"]["warnings"].to_string().contains("the sink"), "{}", report["judgement"]);
    report
}

/// What a variable says, or a word that it is missing.
fn found(variable: &str, what: &str) -> Option<OsString> {
    let found = env::var_os(variable);
    if found.is_none() {
        println!("left out: {variable} does not say where {what} is");
    }
    found
}

fn interop(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

/// What a server answers to a request for this path; nothing if it does not.
fn get(addr: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The address that the client says its endpoint has.
fn endpoint(client: &Child) -> String {
    let line = client.line_with("live figures: prometheus", LIMIT);
    line.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned()
}

/// Scrapes until nobody is there any more: the endpoint waits for the last of them.
fn scraped_to_the_end(addr: &str) -> String {
    let begin = Instant::now();
    let mut last = String::new();
    while let Some(text) = get(addr, "/metrics") {
        last = text;
        assert!(begin.elapsed() < LIMIT, "the endpoint goes with its run");
    }
    last
}

#[test]
fn pythons_prometheus_package_and_promtool_read_a_scrape() {
    let Some(packages) = found("LOADKIT_TEST_SINKS_PYTHON", "the Python package prometheus-client") else { return };
    let (dir, (target, _)) = (tempfile::tempdir().unwrap(), rudp_server(|_| {}));
    let client = client(dir.path(), target, "2s", &["--prometheus", "127.0.0.1:0"]);
    let text = scraped_to_the_end(&endpoint(&client));
    let report = report(dir.path(), &client.wait(LIMIT));
    let scrape = dir.path().join("scrape.txt");
    fs::write(&scrape, &text).unwrap();

    let mut python = Command::new("python3");
    let python = Child::run(python.arg(interop("prometheus.py")).arg(&scrape).env("PYTHONPATH", packages), LIMIT);
    assert_eq!(python.code, Some(0), "{}", python.err);
    let families: Value = serde_json::from_str(&python.out).unwrap();
    assert_eq!(families["loadkit_step_response_seconds"]["type"], "histogram");
    let sample = |family: &str, name: &str, labels: &[(&str, &str)]| {
        let samples = families[family]["samples"].as_array().unwrap();
        let is_it = |sample: &&Value| {
            sample[0] == name && labels.iter().all(|(key, value)| sample[1][*key].as_str() == Some(*value))
        };
        samples.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {family}"))[2].as_f64().unwrap()
    };
    for (step, figures) in report["steps"].as_object().unwrap() {
        let labels = [("step", step.as_str())];
        let family = "loadkit_step_response_seconds";
        assert_eq!(sample(family, "loadkit_step_response_seconds_count", &labels), figures["succeeded"], "{step}");
        let (mean, sum) = (figures["response"]["mean_us"].as_f64().unwrap(), figures["succeeded"].as_f64().unwrap());
        let whole = sample(family, "loadkit_step_response_seconds_sum", &labels);
        assert!((whole - mean * sum / 1e6).abs() < 1e-6, "{step}");
    }
    let sent = &report["connections"]["counts"]["net.packets_sent"]["total"];
    assert_eq!(sample("loadkit_net_packets_sent", "loadkit_net_packets_sent_total", &[]), *sent);
    let of_rudp = [("protocol", "rudp")];
    let family = "loadkit_net_packets_sent_by_protocol";
    assert_eq!(sample(family, "loadkit_net_packets_sent_by_protocol_total", &of_rudp), *sent);

    let Some(prometheus) = found("LOADKIT_TEST_PROMETHEUS", "a Prometheus server") else { return };
    let promtool = Path::new(&prometheus).with_file_name("promtool");
    let mut check = Command::new("sh");
    check.args(["-c", "exec \"$0\" check metrics < \"$1\""]).arg(promtool).arg(&scrape);
    let checked = Child::run(&mut check, LIMIT);
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "promtool has nothing to say");
}

#[test]
fn a_real_prometheus_has_what_the_report_has() {
    let Some(prometheus) = found("LOADKIT_TEST_PROMETHEUS", "a Prometheus server") else { return };
    let (dir, (target, _)) = (tempfile::tempdir().unwrap(), rudp_server(|_| {}));
    // Ports that were free a moment ago: a server that is told to take any has no way to say which it took.
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (addr, endpoint) = (free(), free());
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: loadkit, static_configs: [{{ targets: ['{endpoint}'] }}] }}]\n"
    );
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let mut server = Command::new(prometheus);
    server.current_dir(dir.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    let server = Child::start(server.arg(format!("--web.listen-address={addr}")));
    server.says("Server is ready", LIMIT);
    // A server looks for its targets every five seconds.
    let client = client(dir.path(), target, "9s", &["--prometheus", &endpoint]);

    let report = report(dir.path(), &client.wait(LIMIT));
    // The last scrape was the one for which the endpoint stayed; it may be on its way into the database.
    let pings = report["steps"]["ping"]["succeeded"].as_f64().unwrap();
    let query = "/api/v1/query?query=max_over_time(loadkit_step_response_seconds_count%7Bstep%3D%22ping%22%7D%5B1m%5D)";
    let begin = Instant::now();
    let value = |body: &str| {
        let body = body.lines().find(|line| line.starts_with('{')).unwrap_or(body).to_owned();
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"]["result"][0]["value"][1].as_str().and_then(|value| value.parse::<f64>().ok())
    };
    loop {
        let had = get(&addr, query).and_then(|body| value(&body));
        if had == Some(pings) {
            break;
        }
        assert!(
            begin.elapsed() < LIMIT / 4,
            "of {pings} pings Prometheus has {had:?}: {:?}",
            get(&addr, "/api/v1/targets")
        );
    }
    let query = "/api/v1/query?query=count(last_over_time(loadkit_run_info%7Bscenario%3D%22rudp%22%7D%5B1m%5D))";
    assert_eq!(value(&get(&addr, query).unwrap()), Some(1.0));
}

/// A collector that keeps the bodies of its requests.
fn collector() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (keep, kept) = sync_channel(1_000);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut got, mut buf) = (Vec::new(), [0; 4_096]);
            let body = loop {
                let head = got.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
                if let Some(head) = head {
                    let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
                    let length = text.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                    if got.len() >= head + length.parse::<usize>().unwrap() {
                        break got.split_off(head);
                    }
                }
                match stream.read(&mut buf).unwrap() {
                    0 => panic!("a request that is cut short"),
                    n => got.extend(&buf[..n]),
                }
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            keep.send(body).unwrap();
        }
    });
    (addr, kept)
}

#[test]
fn pythons_otlp_package_reads_every_request() {
    let Some(packages) = found("LOADKIT_TEST_SINKS_PYTHON", "the Python package opentelemetry-proto") else { return };
    let (dir, (target, _), (addr, kept)) = (tempfile::tempdir().unwrap(), rudp_server(|_| {}), collector());
    let client = client(dir.path(), target, "2s", &["--otlp", &format!("http://{addr}")]);
    let report = report(dir.path(), &client.wait(LIMIT));
    let mut python = Command::new("python3");
    python.arg(interop("otlp.py")).env("PYTHONPATH", packages);
    for (nth, body) in kept.try_iter().enumerate() {
        let file = dir.path().join(format!("{nth}.binpb"));
        fs::write(&file, body).unwrap();
        python.arg(file);
    }
    let python = Child::run(&mut python, LIMIT);
    assert_eq!(python.code, Some(0), "{}", python.err);
    let requests: Vec<Value> = python.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(requests.len() >= 2);
    let attributes = requests[0]["resource"]["attributes"].as_array().unwrap();
    let run = attributes.iter().find(|attribute| attribute["key"] == "loadkit.run").unwrap();
    assert_eq!(run["value"]["stringValue"], report["run"]["id"]);

    // 64-bit numbers are texts in Protobuf's JSON.
    let number = |value: &Value| value.as_str().map_or(0, |text| text.parse::<u64>().unwrap());
    let points = |kind: &str, name: &str| -> Vec<Value> {
        let metrics = requests.iter().flat_map(|request| request["scopeMetrics"][0]["metrics"].as_array().unwrap());
        let points = metrics.filter(|metric| metric["name"] == name).map(|metric| {
            assert_ne!(metric[kind]["aggregationTemporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
            metric[kind]["dataPoints"].as_array().unwrap().clone()
        });
        points.flatten().collect()
    };
    let is_ping = |point: &&Value| point["attributes"].to_string().contains("\"ping\"");
    let responses = points("exponentialHistogram", "loadkit.step.response");
    let pings: Vec<&Value> = responses.iter().filter(is_ping).collect();
    assert_eq!(report["steps"]["ping"]["succeeded"], pings.iter().map(|point| number(&point["count"])).sum::<u64>());
    for point in &pings {
        let counts = point["positive"]["bucketCounts"].as_array().unwrap();
        assert_eq!(counts.iter().map(number).sum::<u64>() + number(&point["zeroCount"]), number(&point["count"]));
        assert!(counts.len() <= 160 && number(&point["startTimeUnixNano"]) < number(&point["timeUnixNano"]));
    }
    let highest = pings.iter().map(|point| point["max"].as_f64().unwrap()).fold(0.0, f64::max);
    let max = report["steps"]["ping"]["response"]["max_us"].as_f64().unwrap() / 1e6;
    assert!((highest - max).abs() < 1e-9);
    let sent = points("sum", "loadkit.net.packets_sent");
    let sent: u64 = sent.iter().map(|point| number(&point["asInt"])).sum();
    assert_eq!(report["connections"]["counts"]["net.packets_sent"]["total"], sent);
}

#[test]
fn the_statsd_daemon_adds_up_to_the_report() {
    let Some(packages) = found("LOADKIT_TEST_SINKS_NODE", "the Node package statsd") else { return };
    let (dir, (target, _)) = (tempfile::tempdir().unwrap(), rudp_server(|_| {}));
    let addr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "{{ port: {}, address: '127.0.0.1', mgmt_port: 0, mgmt_address: '127.0.0.1', flushInterval: 200, backends: ['{}'] }}",
        addr.port(),
        interop("statsd_backend.cjs").display()
    );
    fs::write(dir.path().join("config.js"), config).unwrap();
    let mut daemon = Command::new("node");
    daemon.arg(Path::new(&packages).join("node_modules/statsd/stats.js")).arg(dir.path().join("config.js"));
    let daemon = Child::start(daemon.stdout(Stdio::piped()));
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    // All flushes up to the one with the mark. Datagrams on loopback come in the order of sending.
    let flushes_to = |mark: &str| {
        let mut flushes = Vec::<Value>::new();
        while flushes.last().is_none_or(|flush| flush["counters"][mark].as_u64().unwrap_or(0) == 0) {
            probe.send_to(format!("{mark}:1|c").as_bytes(), addr).unwrap();
            let line = daemon.first_line(LIMIT);
            flushes.extend(serde_json::from_str::<Value>(&line).ok());
        }
        flushes
    };
    flushes_to("ready");
    let client = client(dir.path(), target, "2s", &["--statsd", &addr.to_string()]);
    let report = report(dir.path(), &client.wait(LIMIT));
    let flushes = flushes_to("done");

    let sum = |name: &str| flushes.iter().map(|flush| flush["counters"][name].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!(sum("statsd.bad_lines_seen"), 0);
    assert_eq!(report["steps"]["ping"]["succeeded"], sum("loadkit.step.succeeded.ping"));
    assert_eq!(report["players"]["started"], sum("loadkit.players.started"));
    let sent = &report["connections"]["counts"]["net.packets_sent"]["total"];
    assert_eq!(*sent, sum("loadkit.net.packets_sent"));
    assert_eq!(*sent, sum("loadkit.net.packets_sent.by_protocol.rudp"));
    let highest = |name: &str| flushes.iter().filter_map(|flush| flush["gauges"][name].as_f64()).fold(0.0, f64::max);
    assert_eq!(highest("loadkit.players.connected"), 5.0);
    assert!(highest("loadkit.step.response.ping.p99") > 0.0);
}
