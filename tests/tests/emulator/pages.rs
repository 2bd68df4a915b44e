//! The dashboard through API Gateway, in a real browser: signed in with a token, a run is watched live and stopped.
//!
//! The emulator has no name of its own for an API that begins at the root, as AWS has. An edge in front gives it one: it passes requests on below
//! the emulator's path of the API, and changes nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loadkit::core::RunId;
use loadkit_fleet::{RunRecord, RunState};
use loadkit_tests::cloud::{Cloud, TEMPLATE, Tasks, packages};
use loadkit_tests::{Answer, Asked, Browser, hold, serve_http};
use serde_json::{Value, json};

use super::{CLIENT, FLEET, MACHINE, arena};

/// Who signs the requests of these tests, for the emulator.
const ADMINISTRATOR: &str = "arn:aws:iam::000000000000:root";
/// An answer that took longer says that the machine is busy, and a page may say that it is not connected.
const SLOW_MS: u64 = 5_000;
const LIMIT: Duration = Duration::from_secs(120);

/// What passed the edge.
#[derive(Debug, Default)]
struct Passed {
    looks: AtomicU64,
    slowest_ms: AtomicU64,
}

/// Asks the emulator, and reads until it closes.
fn passed_on(emulator: SocketAddr, below: &str, asked: &Asked) -> Answer {
    let mut stream = TcpStream::connect(emulator).unwrap();
    // By the older version an answer is not sent in chunks.
    let mut head = format!("{} {below}{} HTTP/1.0\r\nconnection: close\r\n", asked.method, asked.path);
    for (name, value) in asked.headers.iter().filter(|(name, _)| name != "connection") {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(&[head.as_bytes(), b"\r\n", &asked.body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let own = ["content-length", "connection", "transfer-encoding"];
    Answer {
        status,
        headers: headers.filter(|(name, _)| !own.contains(&name.as_str())).collect(),
        body: answer[end + 4..].to_vec(),
    }
}

/// A name for the deployed API.
fn edge(cloud: &Cloud) -> (SocketAddr, Arc<Passed>) {
    let emulator: SocketAddr = cloud.url().trim_start_matches("http://").parse().unwrap();
    let below = format!("/_aws/execute-api/{}/$default", cloud.output("ApiId"));
    let passed = Arc::new(Passed::default());
    let counted = passed.clone();
    let addr = serve_http(move |asked| {
        let began = Instant::now();
        let answer = passed_on(emulator, &below, &asked);
        if asked.path.contains("/live") {
            counted.looks.fetch_add(1, Ordering::Relaxed);
            counted.slowest_ms.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
        answer
    });
    (addr, passed)
}

/// The status of a form that is sent with this cookie, from a page of this origin.
fn sent(addr: SocketAddr, path: &str, cookie: &str, origin: &str) -> u16 {
    let mut stream = TcpStream::connect(addr).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\norigin: {origin}\r\ncookie: loadkit={cookie}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 7\r\n\r\nnow=yes"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn token(cloud: &Cloud, name: &str, role: &str) -> String {
    let made = cloud.ask("POST", "/v1/tokens", Some(&json!({ "name": name, "role": role }))).unwrap();
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!((made["role"].as_str(), made["by"].as_str()), (Some(role), Some(ADMINISTRATOR)), "{made}");
    made["token"].as_str().unwrap().to_owned()
}

async fn signs_in(browser: &Browser, url: &str, token: &str) {
    browser.goto(url).await;
    browser.until("document.querySelector('#token')").await;
    browser.fill("#token", token).await;
    browser.click(".login button").await;
    browser.until("document.querySelector('.who form')").await;
}

fn launched(cloud: &Cloud, target: &str) -> RunId {
    let plan =
        "scenario = \"arena\"\nbots = 6\nduration = \"5m\"\ngrace = \"3s\"\n[personas]\ncasual = 1\ncompetitive = 0\n";
    let request = json!({ "plan": plan, "target": target, "runner": "lambda", "workers": 2, "start_in_ms": 6_000 });
    let answer = cloud.ask("POST", "/v1/runs", Some(&request)).unwrap();
    serde_json::from_slice::<RunRecord>(&answer.body).unwrap().id
}

#[test]
fn a_browser_watches_and_stops_a_run_through_the_gateway() {
    let Some(packages) = packages() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(browser) = runtime.block_on(Browser::open()) else { return };
    let _machine = MACHINE.read();
    let tasks = Tasks::of(CLIENT);
    let cloud = Cloud::deployed(&packages, &tasks, (CLIENT, FLEET), TEMPLATE, &[("Administrators", ADMINISTRATOR)]);
    let (addr, passed) = edge(&cloud);
    let url = |path: &str| format!("http://{addr}{path}");
    let (wall, ops) = (token(&cloud, "wall", "look"), token(&cloud, "ops", "launch"));
    let (_server, target) = arena(&[]);
    let run = launched(&cloud, &target);
    let (page, stop) = (format!("/runs/{run}"), format!("/runs/{run}/stop"));

    runtime.block_on(async {
        // Who may only look sees it live, and no button.
        signs_in(&browser, &url("/"), &wall).await;
        browser.until(&format!("document.querySelector('.runs').textContent.includes('{run}')")).await;
        assert_eq!(browser.is("document.querySelector('a[href=\"/launch\"]') === null").await, true);
        browser.complaints().await;
        browser.goto(&url(&page)).await;
        browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
        assert_eq!(browser.is("document.querySelector('#controls') === null").await, true);
        let watch = "(() => { window.lost = 0; new MutationObserver(() => { window.lost += \
                     document.querySelector('#age').textContent.startsWith('Not connected'); }).observe(\
                     document.querySelector('#age'), { childList: true, characterData: true, subtree: true }); return 1; })()";
        browser.is(watch).await;
        let (before, point) = (passed.looks.load(Ordering::Relaxed), "Chart.getChart('chart-players').data.datasets[0].data");
        let known = browser.is(&format!("{point}.length")).await.as_u64().unwrap();
        browser.until(&format!("{point}.length > {}", known + 8)).await;
        browser.until("document.querySelector('#steps').textContent.includes('login')").await;
        browser.until("document.querySelector('#crew-playing').textContent === '2'").await;
        let times = browser.is(&format!("{point}.map((point) => point.x)")).await;
        let times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "nothing is there twice: {times:?}");
        let looks = passed.looks.load(Ordering::Relaxed) - before;
        let slowest_ms = passed.slowest_ms.load(Ordering::Relaxed);
        println!("pages: {looks} looks, the slowest took {slowest_ms} ms");
        assert!(looks >= 2, "it was asked again and again");
        let lost = browser.is("window.lost").await;
        assert!(lost == 0 || slowest_ms > SLOW_MS, "between two answers it says {lost} times that it is not connected");
        assert_eq!(browser.complaints().await, [""; 0]);
    });

    // Of those who may not stop it nobody does.
    let ours = url("");
    for (cookie, origin, status) in
        [(wall.as_str(), ours.as_str(), 403), (&ops, "https://evil.example.com", 403), ("lk_nobody_AAAA", &ours, 401)]
    {
        assert_eq!(sent(addr, &stop, cookie, origin), status, "{cookie} {origin}");
    }
    assert_eq!(cloud.status_unsigned("/v1/tokens"), 403);
    assert!(cloud.record(run).is_none_or(|record| record.state != RunState::Ended));

    runtime.block_on(async {
        browser.click(".who button").await;
        signs_in(&browser, &url("/"), &ops).await;
        browser.goto(&url(&page)).await;
        browser.until("document.querySelector('#stop')").await;
        browser.click("#stop summary").await;
        browser.click("#stop button").await;
        browser.until("document.querySelector('#events').textContent.includes('stop')").await;
    });
    let record = cloud.until_ended(run);
    assert!(record.notes.iter().any(|note| note.text.contains("ops")), "{:?}", record.notes);

    runtime.block_on(async {
        // The page finds out by itself, and links to the report.
        browser.until("document.querySelector('.verdict')").await;
        browser.until("document.querySelector('a[href$=\"/report/report.html\"]')").await;
        browser.goto(&url(&format!("{page}/report/report.html"))).await;
        browser.until("document.body.textContent.includes('login')").await;
    });
    let revoked = cloud.ask("DELETE", "/v1/tokens/ops", None).unwrap();
    assert_eq!(revoked.status, 200);
    runtime.block_on(async {
        let began = Instant::now();
        browser.goto(&url("/")).await;
        while !browser.text("main").await.contains("was revoked") {
            assert!(began.elapsed() < LIMIT, "{}", browser.text("main").await);
            hold(Duration::from_millis(200));
            browser.goto(&url("/")).await;
        }
    });
}
