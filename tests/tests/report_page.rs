//! The report's page in a real browser, under the content-security policy with which Jenkins serves archived files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadkit::cli::{Client, PlayArgs, RunArgs};
use loadkit_tests::{Child, Way, rudp_server};

/// Jenkins' `DirectoryBrowserSupport.CSP`.
const POLICY: &str = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';";
const LIMIT: Duration = Duration::from_secs(60);
/// A page that measures the report in a frame. It is the one that is served without the policy: it needs a script.
const MEASURE: &str = "measure.html";
const MEASURING: &str = r#"<!DOCTYPE html><title>x</title><pre id="out"></pre><script>
const frame = document.createElement("iframe");
frame.width = WIDTH; frame.height = 800; frame.style.border = 0;
frame.onload = () => {
  const page = frame.contentDocument;
  const at = (path) => frame.contentWindow.getComputedStyle(page.querySelector(path));
  document.getElementById("out").textContent = JSON.stringify({
    over: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    width: frame.contentWindow.innerWidth,
    shown: [...page.images].filter((image) => image.naturalWidth > 0).length,
    images: page.images.length,
    paper: at("body").backgroundColor,
    ink: at("body").color,
    chart: at(".chart img").filter,
  });
};
frame.src = "report.html";
document.body.append(frame);
</script>"#;
/// A browser that asks for more is not reading our page.
const MAX_REQUESTS: usize = 200;

/// Serves a folder on loopback under the policy, and notes what was asked for and how it was answered.
struct Archive {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Archive {
    fn serve(folder: &Path) -> Archive {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (folder, noted) = (folder.to_path_buf(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(MAX_REQUESTS) {
                let (folder, noted) = (folder.clone(), noted.clone());
                // A browser opens connections that it may not use.
                std::thread::spawn(move || answer(stream, &folder, &noted));
            }
        });
        Archive { addr, asked }
    }

    /// What the browser asked for and got.
    fn found(&self) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, status)| *status == 200).map(|(path, _)| path.clone()).collect()
    }

    /// What it asked for and is not there. Browsers ask for an icon by themselves.
    fn missing(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let missing = asked.iter().filter(|(path, status)| *status != 200 && path != "favicon.ico");
        missing.map(|(path, _)| path.clone()).collect()
    }
}

/// One request, one answer.
fn answer(mut stream: TcpStream, folder: &Path, noted: &Mutex<Vec<(String, u16)>>) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).take(100);
    let Some(request) = lines.next() else { return };
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "text/plain",
    };
    let body = if path.contains("..") { None } else { fs::read(folder.join(&path)).ok() };
    let (status, body) = body.map_or((404, Vec::new()), |body| (200, body));
    let policy = if path == MEASURE { String::new() } else { format!("Content-Security-Policy: {POLICY}\r\n") };
    noted.lock().unwrap().push((path, status));
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {}\r\n\
         {policy}Connection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// What the browser says of a page.
struct Seen {
    /// The document as it is after loading.
    dom: String,
    /// Complaints of the browser about the page: what the policy or anything else refused.
    refused: Vec<String>,
}

/// Opens a page, in a profile of its own.
fn open(chromium: &Path, url: &str) -> Seen {
    open_with(chromium, &[], url)
}

/// The same with more arguments.
fn open_with(chromium: &Path, more: &[&str], url: &str) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let output = Child::run(
        Command::new(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(more)
            .args(["--dump-dom", url]),
        LIMIT,
    );
    assert_eq!(output.code, Some(0), "{}", output.err);
    let complaints = ["Refused to", "violates", "Failed to load", "was blocked"];
    let is_complaint = |line: &&str| complaints.iter().any(|complaint| line.contains(complaint));
    Seen { refused: output.err.lines().filter(is_complaint).map(str::to_owned).collect(), dom: output.out }
}

/// The browser, or a word that it is missing.
fn chromium() -> Option<PathBuf> {
    let path = env::var_os("LOADKIT_TEST_CHROMIUM").map(PathBuf::from);
    if path.is_none() {
        println!("left out: LOADKIT_TEST_CHROMIUM does not say where Chromium is");
    }
    path
}

/// Leaves the report of a small run, which misses a threshold; the verdict. A busy machine may make it invalid.
fn small_run(folder: &Path, baseline: Option<&Path>) -> &'static str {
    let (addr, _) = rudp_server(|_| {});
    let client = Client::new("page", "1.0").scenario(Way::Rudp);
    let args = RunArgs {
        play: PlayArgs {
            target: Some(addr.to_string()),
            report: folder.to_path_buf(),
            quiet: true,
            ..PlayArgs::default()
        },
        bots: Some(10),
        duration: Some(Duration::from_millis(2_500)),
        threshold: vec!["p99(ping) < 5s".parse().unwrap(), "p50(ping) < 1us".parse().unwrap()],
        build: Some("2.31.0".to_owned()),
        baseline: baseline.map(Path::to_path_buf),
        ..RunArgs::default()
    };
    let finished = client.run(&args).unwrap();
    assert_eq!(finished.unwritten, None);
    assert_ne!(finished.exit_code(), 0);
    finished.report.judgement.verdict.name()
}

/// The values of an attribute in a page, of which each is an address.
fn addresses(page: &str, attribute: &str) -> Vec<String> {
    let opening = format!(" {attribute}=\"");
    page.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn the_page_needs_nothing_that_the_policy_forbids() {
    let folder = tempfile::tempdir().unwrap();
    small_run(folder.path(), None);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for forbidden in
        ["<script", " style=", "<style", " onclick", " onload", "javascript:", "data:", "http://", "https://"]
    {
        assert!(!page.contains(forbidden), "{forbidden} in the page");
    }
    let (linked, shown) = (addresses(&page, "href"), addresses(&page, "src"));
    assert!(linked.contains(&"report.css".to_owned()), "{linked:?}");
    assert!(shown.iter().filter(|name| name.ends_with(".svg")).count() >= 2, "players and percentiles: {shown:?}");
    for name in linked.iter().chain(&shown).filter(|name| !name.starts_with('#')) {
        assert!(folder.path().join(name).is_file(), "{name} is not beside the page");
    }
    for name in &shown {
        let chart = fs::read_to_string(folder.path().join(name)).unwrap();
        for forbidden in ["<script", " style=", "<style", "href="] {
            assert!(!chart.contains(forbidden), "{forbidden} in {name}");
        }
    }
}

#[test]
fn a_browser_shows_the_page_under_the_policy() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let earlier = tempfile::tempdir().unwrap();
    small_run(earlier.path(), None);
    let verdict = small_run(folder.path(), Some(earlier.path()));
    let archive = Archive::serve(folder.path());
    let seen = open(&chromium, &format!("http://{}/report.html", archive.addr));
    assert_eq!(seen.refused, [""; 0]);
    assert_eq!(archive.missing(), [""; 0]);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    let linked = addresses(&page, "href").into_iter().filter(|name| name.ends_with(".css"));
    let needed: BTreeSet<String> = linked.chain(addresses(&page, "src")).chain(["report.html".to_owned()]).collect();
    assert!(needed.len() >= 4, "{needed:?}");
    assert!(needed.is_subset(&archive.found()), "of {needed:?} it got {:?}", archive.found());
    let sections =
        ["Thresholds", "Beside an earlier run", "Steps", "Over time", "Distributions", "Flights", "The load generator"];
    for section in sections {
        assert!(seen.dom.contains(&format!("<h2>{section}</h2>")), "no `{section}` in:\n{}", seen.dom);
    }
    let texts =
        [verdict, "connect", "ping", "leave", "p50(ping) &lt; 1us", "was missed", "service time", "2.31.0", "page 1.0"];
    for text in texts {
        assert!(seen.dom.contains(text), "no `{text}` in:\n{}", seen.dom);
    }
}

/// What a browser of this width measures of the report.
fn measured(chromium: &Path, archive: &Archive, folder: &Path, width: u32, more: &[&str]) -> serde_json::Value {
    fs::write(folder.join(MEASURE), MEASURING.replace("WIDTH", &width.to_string())).unwrap();
    let seen = open_with(chromium, more, &format!("http://{}/{MEASURE}", archive.addr));
    let answer = seen.dom.split("<pre id=\"out\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    serde_json::from_str(answer.unwrap()).unwrap_or_else(|error| panic!("{error}:\n{}", seen.dom))
}

#[test]
fn the_page_fits_a_phone_and_a_desk_by_day_and_by_night() {
    let Some(chromium) = chromium() else { return };
    let (folder, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_run(earlier.path(), None);
    small_run(folder.path(), Some(earlier.path()));
    let archive = Archive::serve(folder.path());
    let dark = ["--blink-settings=preferredColorScheme=0"];
    for (width, more) in [(390, &[][..]), (390, &dark[..]), (1280, &[][..]), (1280, &dark[..])] {
        let page = measured(&chromium, &archive, folder.path(), width, more);
        assert_eq!((page["over"].as_i64(), page["width"].as_u64()), (Some(0), Some(u64::from(width))), "{page}");
        assert_eq!(page["shown"], page["images"], "{page}");
        assert!(page["images"].as_u64() >= Some(7), "{page}");
        let (paper, chart) =
            if more.is_empty() { ("rgb(255, 255, 255)", "none") } else { ("rgb(23, 23, 23)", "invert(0.93)") };
        assert_eq!(page["paper"], paper, "{page}");
        assert!(page["chart"].as_str().unwrap().starts_with(chart), "{page}");
    }
}

#[test]
fn a_page_that_breaks_the_policy_is_noticed() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = "<!DOCTYPE html><title>x</title><p style=\"color: red\">x</p><script>1</script><img src=\"none.svg\">";
    fs::write(folder.path().join("bad.html"), page).unwrap();
    let archive = Archive::serve(folder.path());
    let seen = open(&chromium, &format!("http://{}/bad.html", archive.addr));
    assert!(seen.refused.iter().any(|line| line.contains("style")), "{:?}", seen.refused);
    assert_eq!(archive.missing(), ["none.svg"]);
}
