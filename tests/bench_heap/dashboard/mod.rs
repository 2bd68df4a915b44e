//! The dashboard before a day-long run of a thousand workers: how soon it opens, what a live page takes of the wire, and what the
//! service holds for fifty who look.

mod day;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use loadkit::core::RunId;
use loadkit_fleet::api::{Access, Door, FleetService};
use loadkit_fleet::{Policy, RunState, ServeOptions, Serving};
use loadkit_tests::Browser;
use loadkit_tests::bench::Figure;
use loadkit_worker::StopWord;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::sleep;

use self::day::{DAY, Day, WORKERS};
use crate::heap;

/// A page is opened so often.
const OPENED: usize = 3;
/// A day has no fewer: of the report, whose series has 150 to 300, or of five minutes each.
const POINTS: u64 = 150;
/// What is promised: s to open, bytes of a live minute.
const OPENS_S: f64 = 2.0;
const MINUTE_BYTES: f64 = 1e6;
/// Who look.
const VIEWERS: usize = 50;
/// What the heap may grow by in a minute with all of them, bytes. A second of figures kept for each of them would be 6 MB a minute.
const GROWS: f64 = 1e6;
/// What one of them may cost, bytes.
const VIEWER_BYTES: f64 = 200_000.0;
/// How long the heap is watched with one and with all.
const WITH_ONE: Duration = Duration::from_secs(70);
const WITH_ALL: Duration = Duration::from_secs(150);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The dashboard before a day of a thousand workers.
pub(crate) fn dashboard() -> Vec<Figure> {
    match measured() {
        Ok(figures) => figures,
        Err(why) => {
            eprintln!("the dashboard could not be measured: {why}");
            vec![Figure::new("dashboard_measured", 0.0).at_least(1.0).with(json!({ "why": why.to_string() }))]
        }
    }
}

fn measured() -> Result<Vec<Figure>, Failed> {
    // What is kept can be looked at: `loadkit-fleet serve --data`.
    let (kept, scratch) = (std::env::var_os("LOADKIT_BENCH_KEEP"), tempfile::tempdir()?);
    let dir = kept.map_or_else(|| scratch.path().to_path_buf(), Into::into);
    let ((ready, made), of_day) = (channel(), dir.clone());
    let playing = std::thread::spawn(move || day::play(of_day, &ready));
    let Ok(day) = made.recv() else {
        return Err(playing.join().map_or("it panicked".into(), |ended| format!("{ended:?}")).into());
    };
    let run = day.run;
    eprintln!("24 hours of {WORKERS} workers were made in {:?}", day.made);
    let made = Figure::new("dashboard_day_made_s", day.made.as_secs_f64());
    let mut figures = vec![made.with(json!({ "workers": WORKERS, "hours": DAY.as_secs() / 3_600 }))];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    figures.extend(going_on(&runtime, day)?);
    drop(runtime);
    let record = playing.join().map_err(|_| "the day panicked")??;
    let notes = json!({
        "state": record.state, "ending": record.ending, "verdict": record.judgement.as_ref().map(|judged| judged.verdict),
        "attempts_lost": record.attempts_lost, "workers_lost": record.workers_lost,
    });
    let ended = f64::from(u8::from(record.state == RunState::Ended));
    figures.push(Figure::new("dashboard_day_ended", ended).at_least(1.0).with(notes));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    figures.extend(runtime.block_on(over(&dir, run))?);
    Ok(figures)
}

/// While it goes on: before the fleet's own door, over the store in a file.
fn going_on(runtime: &Runtime, day: Day) -> Result<Vec<Figure>, Failed> {
    runtime.block_on(async {
        let (fleet, run) = (day.fleet, day.run);
        let door = Door::open("127.0.0.1:0".parse()?, Access::Open).await?;
        let (addr, (stop, stopped)) = (door.addr(), oneshot::channel::<()>());
        let service = Arc::new(FleetService::new(fleet.clone(), Policy::default()));
        let serving = tokio::spawn(door.serve(service, async move { drop(stopped.await) }));
        let mut figures: Vec<Figure> = opened(addr, run, "going_on").await?.into_iter().collect();
        figures.extend(series(addr, run, "going_on").await?);

        // With one who looks, at a run in which nothing happens but play.
        let after = far(addr, run).await?;
        let quiet = viewer(addr, run, after);
        sleep(Duration::from_secs(60)).await;
        let quiet_bytes = quiet.bytes.load(Ordering::Relaxed);
        let (_, one_to, one_rate) = trend(WITH_ONE.saturating_sub(Duration::from_secs(10))).await;
        // With all, at one in which everything does.
        day.game.be_wild(true);
        let rss = rss_kb();
        let viewers: Vec<Viewer> = (0..VIEWERS).map(|_| viewer(addr, run, after)).collect();
        let posting = tokio::spawn({
            let fleet = fleet.clone();
            async move {
                for nth in 0..60 {
                    sleep(Duration::from_secs(1)).await;
                    drop(fleet.mark(run, None, &format!("{nth}: {}", "deployed ".repeat(20)), "ci").await);
                }
            }
        });
        sleep(Duration::from_secs(10)).await;
        let before: u64 = viewers.iter().map(|viewer| viewer.bytes.load(Ordering::Relaxed)).sum();
        sleep(Duration::from_secs(60)).await;
        let wild: u64 = viewers.iter().map(|viewer| viewer.bytes.load(Ordering::Relaxed)).sum();
        let wild_bytes = wild.saturating_sub(before) / VIEWERS as u64;
        posting.await?;
        let (all_from, all_to, all_rate) = trend(WITH_ALL.saturating_sub(Duration::from_secs(70))).await;
        let heard = viewers.iter().filter(|viewer| viewer.bytes.load(Ordering::Relaxed) > 0).count();
        let notes = json!({
            "a_minute_with_1": one_rate, "a_minute_with_50": all_rate, "heap_with_1": one_to, "heap_with_50": [all_from, all_to], "rss_kb": [rss, rss_kb()],
            "viewers_that_hear": heard,
        });
        figures.push(Figure::new("dashboard_live_minute_quiet_bytes", quiet_bytes as f64).at_most(MINUTE_BYTES));
        figures.push(Figure::new("dashboard_live_minute_wild_bytes", wild_bytes as f64).at_most(MINUTE_BYTES));
        figures.push(Figure::new("dashboard_heap_growth_bytes_a_minute", all_rate).at_most(GROWS).with(notes));
        let each = (all_from - one_to) as f64 / VIEWERS as f64;
        figures.push(Figure::new("dashboard_heap_bytes_a_viewer", each).at_most(VIEWER_BYTES));

        drop((viewers, quiet));
        fleet.stop(run, StopWord::Drain, "the benchmark").await?;
        while fleet.show(run).await?.state != RunState::Ended {
            sleep(Duration::from_millis(200)).await;
        }
        drop(stop);
        serving.await??;
        Ok(figures)
    })
}

/// When it has ended: by a service as it is started anywhere, over the same file.
async fn over(dir: &Path, run: RunId) -> Result<Vec<Figure>, Failed> {
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse()?,
        data: Some(dir.to_path_buf()),
        // It starts nobody.
        client: std::env::current_exe()?,
        policy: None,
        plans: None,
        tokens: false,
        most_workers: 1,
        webhook: None,
    };
    let serving = Serving::open(options).await?;
    let addr = serving.addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serving.serve(async move { drop(stopped.await) }));
    let mut figures: Vec<Figure> = opened(addr, run, "ended").await?.into_iter().collect();
    figures.extend(series(addr, run, "ended").await?);
    drop(stop);
    serving.await??;
    Ok(figures)
}

/// From the way to the page until it is drawn, in a browser; none if there is no browser here.
async fn opened(addr: SocketAddr, run: RunId, how: &'static str) -> Result<Option<Figure>, Failed> {
    let Some(browser) = Browser::open().await else {
        eprintln!("left out: how soon the page opens, because there is no browser");
        return Ok(None);
    };
    browser.screen(1_280, 900, false).await;
    let mut took = Vec::new();
    for _ in 0..OPENED {
        browser.goto("about:blank").await;
        let began = Instant::now();
        browser.goto(&format!("http://{addr}/runs/{run}")).await;
        browser
            .until("document.querySelector('#run').dataset.ready && Chart.getChart('chart-times').data.datasets.length")
            .await;
        took.push(began.elapsed().as_secs_f64());
    }
    let points = browser.is("Chart.getChart('chart-players').data.datasets[0].data.length").await;
    let complaints = browser.complaints().await;
    let notes = json!({ "all_s": took, "points": points, "complaints": complaints });
    took.sort_by(f64::total_cmp);
    let median = took.get(OPENED / 2).copied().unwrap_or(f64::MAX);
    // A page without its day opens soon.
    if points.as_u64().is_none_or(|points| points < POINTS) {
        return Err(format!(
            "the page of the run that is {how} has {points} points of the day, and {POINTS} are the least"
        )
        .into());
    }
    let name = if how == "ended" { "dashboard_opens_ended_s" } else { "dashboard_opens_going_on_s" };
    Ok(Some(Figure::new(name, median).at_most(OPENS_S).with(notes)))
}

/// What the service itself takes for the figures so far, and their bytes.
async fn series(addr: SocketAddr, run: RunId, how: &str) -> Result<Vec<Figure>, Failed> {
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..5 {
        let began = Instant::now();
        bytes = get(addr, &format!("/data/runs/{run}/series"), "accept-encoding: gzip\r\n").await?.len();
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let page = get(addr, &format!("/runs/{run}"), "").await?.len();
    let notes = json!({ "all_ms": took, "page_bytes": page });
    took.sort_by(f64::total_cmp);
    let median = took.get(2).copied().unwrap_or(f64::MAX);
    let (time, size) = match how {
        "ended" => ("dashboard_series_ended_ms", "dashboard_series_ended_bytes"),
        _ => ("dashboard_series_going_on_ms", "dashboard_series_going_on_bytes"),
    };
    Ok(vec![Figure::new(time, median).with(notes), Figure::new(size, bytes as f64).at_most(5e5)])
}

/// How far the run's figures go, s.
async fn far(addr: SocketAddr, run: RunId) -> Result<u64, Failed> {
    let answer = get(addr, &format!("/data/runs/{run}/series"), "").await?;
    let text = String::from_utf8_lossy(&answer);
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
    let series: Value = serde_json::from_str(body)?;
    series["to_s"].as_f64().map(|to_s| to_s as u64).ok_or_else(|| "no figures".into())
}

/// All bytes of an answer.
async fn get(addr: SocketAddr, path: &str, headers: &str) -> Result<Vec<u8>, Failed> {
    let mut stream = TcpStream::connect(addr).await?;
    let asked = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(asked.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(answer),
        false => Err(format!("{path}: {}", String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer))).into()),
    }
}

/// One who looks at a run live, as a browser asks for it.
struct Viewer {
    /// That have come over its socket.
    bytes: Arc<AtomicU64>,
    reading: tokio::task::JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn viewer(addr: SocketAddr, run: RunId, after: u64) -> Viewer {
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = bytes.clone();
    let reading = tokio::spawn(async move {
        let Ok(mut stream) = TcpStream::connect(addr).await else { return };
        let asked = format!(
            "GET /data/runs/{run}/live?after={after}-0 HTTP/1.1\r\nhost: {addr}\r\naccept: text/event-stream\r\n\
             accept-encoding: gzip, deflate, br\r\n\r\n"
        );
        let mut buffer = [0; 4_096];
        let mut read = stream.write_all(asked.as_bytes()).await.map(|()| 1);
        while let Ok(1..) = read {
            read = stream.read(&mut buffer).await;
            counted.fetch_add(read.as_ref().map_or(0, |n| *n as u64), Ordering::Relaxed);
        }
    });
    Viewer { bytes, reading }
}

/// The heap in the first and in the last third of a time, and what it grew by in a minute. It goes up and down with each pass of
/// the keeper: its lows are compared.
async fn trend(time: Duration) -> (i64, i64, f64) {
    let mut seen = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time {
        seen.push(heap());
        sleep(Duration::from_millis(50)).await;
    }
    let low = |part: &[i64]| part.iter().min().copied().unwrap_or(0);
    let third = seen.len() / 3;
    let (from, to) = (low(seen.get(..third).unwrap_or(&seen)), low(seen.get(third * 2..).unwrap_or(&seen)));
    (from, to, (to - from) as f64 / (time.as_secs_f64() / 90.0))
}

/// Resident memory of this process, KiB.
fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
