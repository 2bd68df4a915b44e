//! The whole of it: the arena's server, a fleet of processes, and a browser that launches, turns, stops and compares.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fantoccini::Locator;
use loadkit_fleet::{ServeOptions, Serving};
use loadkit_tests::{Browser, Child};
use serde_json::Value;

const ARENA: &str = env!("CARGO_BIN_EXE_arena_worker");
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the test takes: it is stopped by then.
const PLAN: &str =
    "scenario = \"arena\"\nbots = 12\nduration = \"10m\"\ngrace = \"3s\"\nthresholds = [\"errors < 50%\"]";

/// The arena's server, and where it listens.
fn arena() -> (Child, String) {
    let server = Child::start(Command::new(ARENA).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()));
    let line = server.first_line(LIMIT);
    let address = line.split_whitespace().find_map(|word| {
        let word = word.trim_end_matches([',', '.', ')']);
        word.starts_with("127.0.0.1:").then(|| word.to_owned())
    });
    (server, address.unwrap_or_else(|| panic!("the server says where it listens: {line}")))
}

/// A fleet on this machine; where it is.
async fn fleet() -> String {
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: None,
        client: PathBuf::from(ARENA),
        policy: None,
        tokens: false,
        most_workers: 8,
        webhook: None,
        plans: None,
    };
    let serving = Serving::open(options).await.unwrap();
    let url = format!("http://{}", serving.addr());
    tokio::spawn(serving.serve(std::future::pending()));
    url
}

/// Launches by the form, and lets it play for some seconds; the run's id.
async fn launched(browser: &Browser, url: &str, target: &str, build: &str) -> String {
    browser.goto(&format!("{url}/launch")).await;
    browser.fill("textarea", PLAN).await;
    browser.fill("input[name=target]", target).await;
    browser.fill("input[name=build]", build).await;
    browser.fill("input[name=workers]", "3").await;
    assert_eq!(browser.is("document.querySelector('#launch') === null").await, true, "no button before the estimate");
    browser.click("button[value=estimate]").await;
    browser.until("document.querySelector('#launch:not([disabled])')").await;
    assert!(browser.text("#estimate").await.contains("3 on local"), "{}", browser.text("#estimate").await);
    browser.click("#launch").await;
    browser.until("document.querySelector('#run[data-live]')").await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    browser.until("document.querySelector('#crew-playing').textContent === '3'").await;
    // Percentiles of every step that players take often, over some seconds.
    browser.until("Chart.getChart('chart-players').data.datasets[0].data.length >= 8").await;
    browser.is("document.querySelector('#run').dataset.run").await.as_str().unwrap().to_owned()
}

async fn stopped(browser: &Browser) {
    browser.click("#stop summary").await;
    browser.click("#stop button").await;
    browser.until("document.querySelector('.verdict') && document.querySelector('#steps.final')").await;
}

/// A file of a run's report, as the page's own links lead to it.
async fn report(browser: &Browser, run: &str) -> Value {
    let script = "const done = arguments[arguments.length - 1]; \
                  fetch(arguments[0]).then((answer) => answer.json()).then(done);";
    let path = format!("/v1/runs/{run}/report/report.json");
    browser.client.execute_async(script, vec![path.into()]).await.unwrap()
}

/// `1,234` of the page as a number.
fn count(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_launched_turned_stopped_and_compared() {
    let Some(browser) = Browser::open().await else { return };
    let ((_server, target), url) = (arena(), fleet().await);
    browser.screen(1_280, 900, false).await;
    let first = launched(&browser, &url, &target, "2.30.0").await;
    browser.click("#dial summary").await;
    browser.fill("#dial input", "1.5").await;
    browser.click("#dial button").await;
    browser.until("document.querySelector('#events').textContent.includes('load turned to 1.5')").await;
    // The gate compares what is played at the highest load: some seconds of it.
    browser
        .until("Chart.getChart('chart-players').data.datasets[1].data.filter((point) => point.y > 12).length > 4")
        .await;
    browser.picture("whole-live").await;
    stopped(&browser).await;
    browser.picture("whole-done").await;

    // What the page says is what the report says.
    let report = report(&browser, &first).await;
    let word = browser.text(".verdict .word").await;
    assert_eq!(word.to_lowercase(), report["judgement"]["verdict"].as_str().unwrap());
    let rows = browser.client.find_all(Locator::Css("#steps tbody tr")).await.unwrap();
    assert!(rows.len() >= 3, "login, matchmake, …");
    for row in rows {
        let mut cells = Vec::new();
        for cell in row.find_all(Locator::Css("td")).await.unwrap() {
            cells.push(cell.text().await.unwrap());
        }
        let step = &report["steps"][cells[0].as_str()];
        assert_eq!(count(&cells[1]), step["succeeded"].as_u64().unwrap(), "{cells:?}");
        assert_eq!(count(&cells[2]), step["failed"].as_u64().unwrap(), "{cells:?}");
        let p99 = step["response"]["p99_us"].as_u64();
        let shown = p99.map_or("–".to_owned(), |us| loadkit::core::format::micros(us as f64));
        assert_eq!(cells[6], shown, "{cells:?}");
    }
    browser.until("document.querySelector('#run').dataset.ready").await;
    let drawn = browser.is("Chart.getChart('chart-players').data.datasets[1].data.map((point) => point.y)").await;
    let active: Vec<&Value> =
        report["series"]["points"].as_array().unwrap().iter().map(|point| &point["active"]).collect();
    assert_eq!(drawn.as_array().unwrap().iter().collect::<Vec<_>>(), active);

    // Another build, beside it.
    let second = launched(&browser, &url, &target, "2.31.0").await;
    stopped(&browser).await;
    browser.goto(&format!("{url}/")).await;
    browser.until("document.querySelector('#trend').dataset.ready").await;
    assert_eq!(browser.is("document.querySelectorAll('#trend-table tbody tr').length").await, 2);
    browser.picture("whole-runs").await;
    for run in [&first, &second] {
        browser.click(&format!("input[value='{run}']")).await;
    }
    browser.click("form[action='/compare'] button").await;
    browser.until("document.querySelector('#distributions').dataset.ready").await;
    let said = browser.text("main").await;
    assert!(said.contains("2.31.0") && said.contains("the gate says"), "{said}");
    assert!(said.contains("2.30.0 became 2.31.0"), "what differs is said: {said}");
    assert_eq!(browser.is("Chart.getChart('chart-distribution').data.datasets.length").await, 2);
    browser.fits().await;
    browser.picture("whole-compare").await;
    assert_eq!(browser.barriers().await.unwrap_or_default(), [""; 0]);
    assert_eq!(browser.complaints().await, [""; 0]);
}
