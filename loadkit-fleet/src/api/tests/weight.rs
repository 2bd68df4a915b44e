//! What pages weigh: what is read for them, what goes over the wire, and what is held for whoever looks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use loadkit_core::{FailureSample, Histogram, HistogramDelta};
use loadkit_sinks::{Interval, StepFigures};
use loadkit_worker::{Address, Job, Lease, Phase, WorkerStatus};
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::fake::{Fake, RUN, ask, launch, open};
use crate::rollup::{CHANGING, WIDTHS};
use crate::{Flown, Marker};

const WORKERS: u32 = 1_000;
/// Bytes that a page may take in a minute, at the most: what we promise.
const MOST: usize = 1_000_000;

/// A router with a run in it that began so long ago.
async fn running(seconds: u64) -> (Router, Arc<Fake>) {
    let (router, fake) = open().await;
    let answer = ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let record = &mut fake.runs.lock().unwrap()[0];
    (record.start_at_ms, record.workers) = (0, WORKERS);
    *fake.now_ms.lock().unwrap() = seconds * 1_000;
    (router, fake.clone())
}

fn empty(nth: u64, width: Duration) -> Interval {
    let width_us = width.as_micros() as u64;
    Interval { from_us: nth * width_us, to_us: (nth + 1) * width_us, ..Interval::default() }
}

/// All windows of these widths that a run has; the wide ones end some minutes before it.
fn windows(seconds: u64, widths: &[(Duration, Duration)]) -> Vec<Interval> {
    let of = |(width, _): &(Duration, Duration)| {
        let until_s = if *width > WIDTHS[CHANGING - 1].0 { seconds - 120 } else { seconds };
        let width = *width;
        (0..until_s / width.as_secs()).map(move |nth| empty(nth, width))
    };
    widths.iter().flat_map(of).collect()
}

/// How many windows were read for a run's series, and how many points it has.
async fn series(seconds: u64, windows: Vec<Interval>) -> (usize, usize) {
    let (router, fake) = running(seconds).await;
    *fake.windows.lock().unwrap() = windows;
    let series = ask(&router, "GET", &format!("/data/runs/{RUN}/series"), &[], "").await.json();
    assert_eq!(series["to_s"].as_f64().unwrap(), (seconds / 60 * 60) as f64, "nothing is missing at its end");
    let points = series["points"].as_array().unwrap();
    let times: Vec<f64> =
        points.iter().flat_map(|point| [&point["from"], &point["to"]]).map(|t| t.as_f64().unwrap()).collect();
    assert!(times[0] == 0.0 && times.is_sorted(), "{times:?}");
    (fake.read.load(Ordering::Relaxed), points.len())
}

#[tokio::test]
async fn a_run_of_any_length_is_read_in_a_few_hundred_windows() {
    const DAY: u64 = 86_400;
    // From a minute on: no chart of a long run reads narrower ones.
    let widths = &WIDTHS[CHANGING - 1..];
    for (seconds, most) in [(DAY, 300), (DAY + 3_333, 330), (3 * DAY, 310), (7 * DAY, 190), (30 * DAY, 200)] {
        let (read, points) = series(seconds, windows(seconds, widths)).await;
        assert!(read <= most, "{read} windows of {seconds} s");
        assert!((80..=361).contains(&points), "{points} points of {seconds} s");
    }
}

#[tokio::test]
async fn a_run_of_an_older_build_opens_from_its_minutes() {
    let minutes = windows(86_400, &WIDTHS[CHANGING - 1..CHANGING]);
    assert_eq!(series(86_400, minutes).await, (1_440, 288));
    // The build was changed when the run had played for ten hours.
    let both = windows(86_400, &WIDTHS[CHANGING - 1..]).into_iter();
    let both = both.filter(|window| window.to_us - window.from_us == 60_000_000 || window.from_us >= 36_000_000_000);
    let (read, points) = series(86_400, both.collect()).await;
    assert!(read < 800 && points == 288, "{read}, {points}");
}

fn times(at: u64) -> HistogramDelta {
    let mut times = Histogram::new();
    (0..50).for_each(|i| times.record(1_000 + (at * 7_919 + i * i * 131) % 300_000));
    times.to_delta()
}

/// A second with so many steps, each of which fails in several ways.
fn second(at: u64, steps: usize) -> Interval {
    let mut second = empty(at, Duration::from_secs(1));
    (second.players.active, second.players.connected, second.players.planned) = (99_000 + at, 98_000 + at, 100_000);
    for step in 0..steps {
        let figures = StepFigures { service: times(at), response: times(at + 1), ..StepFigures::default() };
        second.steps.insert(format!("a_step_with_a_long_name_{step}"), figures);
    }
    second
}

fn lease(worker: u32, at: u64, phase: Phase) -> Lease {
    let line = Address::Http { url: "http://127.0.0.1:1".into(), token: "x".into() };
    let status =
        WorkerStatus { active: 100 + (at * 31 + u64::from(worker)) % 900, planned: 100, ..WorkerStatus::default() };
    Lease { worker, ..Lease::new(&Job::new(RUN, worker, line), phase, status, at * 1_000) }
}

/// Plays a second: what was settled by then is there.
fn play(fake: &Fake, at: u64, is_wild: bool) {
    *fake.now_ms.lock().unwrap() = at * 1_000;
    fake.windows.lock().unwrap().push(second(at - 5, if is_wild { 48 } else { 8 }));
    if !is_wild {
        fake.leases.lock().unwrap().iter_mut().for_each(|lease| lease.beat_at_ms = at * 1_000);
        return;
    }
    let phase = |worker| if (at + u64::from(worker)).is_multiple_of(9) { Phase::Lost } else { Phase::Playing };
    *fake.leases.lock().unwrap() = (0..WORKERS).map(|worker| lease(worker, at, phase(worker))).collect();
    let mut standing = fake.standing.lock().unwrap();
    standing.crew.lost += 7;
    standing.markers.push(Marker { at_ms: at * 1_000, text: "m".repeat(200), by: "a tool".into() });
    let message = "x".repeat(300);
    let (step, kind) = ("login".to_owned(), "timed-out".to_owned());
    let sample = FailureSample { at_us: at * 1_000_000, seat: at, step, kind, message: message.clone() };
    let failures = &mut standing.failures;
    if failures.samples.len() < 20 {
        // The latest known is not the last that happened.
        failures.samples.insert(0, sample);
        let lines = vec![message.clone(); 12];
        failures.flights.insert(0, Flown { seat: at, ended_us: at, failure: message, lines });
    }
    drop(standing);
    fake.runs.lock().unwrap()[0].note(at * 1_000, "worker 17 was started again (attempt 1)");
}

async fn listen(router: &Router, after: u64) -> BodyDataStream {
    let request = Request::builder().uri(format!("/data/runs/{RUN}/live?after={after}-0")).header("host", "127.0.0.1");
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().into_data_stream()
}

/// Bytes that a page takes in a minute in which so much happens.
async fn a_minute(is_wild: bool) -> (usize, String) {
    let (router, fake) = running(1_000).await;
    *fake.leases.lock().unwrap() = (0..WORKERS).map(|worker| lease(worker, 1_000, Phase::Playing)).collect();
    let mut body = listen(&router, 994).await;
    let began = Instant::now();
    let playing = tokio::spawn(async move {
        for at in 1_001..1_061 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            play(&fake, at, is_wild);
        }
    });
    let (mut bytes, mut text) = (0, String::new());
    while let Ok(Some(chunk)) = tokio::time::timeout_at(began + Duration::from_secs(62), body.next()).await {
        let chunk = chunk.unwrap();
        // What HTTP writes around a chunk.
        bytes += chunk.len() + 8;
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    playing.await.unwrap();
    (bytes, text)
}

#[tokio::test(start_paused = true)]
async fn a_live_minute_is_small_whatever_happens() {
    let (quiet, text) = a_minute(false).await;
    let told = |text: &str, name: &str| text.matches(&format!("event: {name}\n")).count();
    assert!(told(&text, "figures") >= 55 && told(&text, "workers") == 1, "{quiet}");
    let (wild, text) = a_minute(true).await;
    assert!(told(&text, "figures") >= 55 && told(&text, "workers") >= 10 && told(&text, "markers") >= 50, "{wild}");
    println!("{quiet} bytes of a minute in which nothing happens, {wild} of one in which everything does");
    assert!(quiet < MOST / 4 && wild < MOST, "{quiet}, {wild}");
}

#[tokio::test(start_paused = true)]
async fn the_store_is_read_once_however_many_look() {
    let mut read = Vec::new();
    for viewers in [1, 50] {
        let (router, fake) = running(1_000).await;
        fake.windows.lock().unwrap().extend((0..1_000).map(|at| second(at, 4)));
        let mut bodies = Vec::new();
        for _ in 0..viewers {
            bodies.push(listen(&router, 900).await);
        }
        // Nobody but the first takes what comes.
        let began = Instant::now();
        let first = &mut bodies[0];
        while let Ok(Some(_)) = tokio::time::timeout_at(began + Duration::from_secs(30), first.next()).await {
            let mut now_ms = fake.now_ms.lock().unwrap();
            *now_ms = 1_000_000 + began.elapsed().as_millis() as u64;
        }
        read.push(fake.read.load(Ordering::Relaxed));
    }
    assert_eq!(read[0], read[1]);
    assert_ne!(read[0], 0);
}
