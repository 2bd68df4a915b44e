//! Each page in a browser, before a fleet that is made up.

use std::time::Duration;

use loadkit::core::{RunId, Verdict};
use loadkit_fleet::{Marker, RunState};
use loadkit_tests::Browser;
use loadkit_worker::Phase;

use crate::stage::{Served, Stage, failure, judged, lease, line, now_ms, playing, run, window};

const RUN: u64 = 0xabc;
const STEPS: [&str; 3] = ["login", "matchmake", "move"];
const HOSTILE: &str = "<img src=x onerror=alert(1)><b>'\"&";

fn path() -> String {
    format!("/runs/{}", RunId(RUN))
}

/// A stage with a run that has played so many seconds.
fn running(seconds: u64, workers: u32, steps: &[&str]) -> Stage {
    let stage = Stage::default();
    stage.change(|play| {
        let record = run(RUN, Duration::from_secs(seconds), workers);
        play.lines.push(line(&record));
        play.leases = (0..workers).map(|worker| lease(record.id, worker, 0, Phase::Playing)).collect();
        play.windows = (0..seconds.saturating_sub(5)).map(|at| window(at, 1, steps)).collect();
        play.standing.crew = playing(workers, 0);
        play.records.push(record);
    });
    stage
}

async fn served(stage: &Stage) -> Served {
    Served::open(stage, "127.0.0.1:0".parse().unwrap()).await
}

#[tokio::test]
async fn ten_thousand_runs_are_a_list_that_can_be_gone_through() {
    let Some(browser) = Browser::open().await else { return };
    let stage = Stage::default();
    stage.change(|play| {
        let template = run(1, Duration::from_secs(3_600), 1);
        play.lines = (0..10_000u64)
            .map(|i| {
                let mut one = line(&template);
                one.id = RunId(i + 1);
                one.created_at_ms -= i * 3_600_000;
                one.build = format!("2.{}.{}", 40 - i / 400, i % 400);
                one.state = RunState::Ended;
                one.verdict = Some([Verdict::Pass, Verdict::Pass, Verdict::Fail, Verdict::Invalid][i as usize % 4]);
                one
            })
            .collect();
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url("/")).await;
    assert_eq!(browser.is("document.querySelectorAll('.runs tbody tr').length").await, 50);
    browser.fits().await;
    browser.click("a[rel=next]").await;
    browser.until("location.search.includes('after=50')").await;
    browser
        .client
        .find(fantoccini::Locator::Css("select[name=outcome]"))
        .await
        .unwrap()
        .select_by_value("fail")
        .await
        .unwrap();
    browser.click(".filters button").await;
    browser.until("document.querySelectorAll('.runs .mark.fail').length === 50").await;
    browser.goto(&served.url("/?build=2.40.7")).await;
    assert_eq!(browser.is("document.querySelectorAll('.runs tbody tr').length").await, 1);
    browser.goto(&served.url("/?build=none")).await;
    assert!(browser.text("main").await.contains("There is no such run."));
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_run_that_goes_on_is_kept_up_to_date() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(90, 300, &STEPS);
    stage.change(|play| {
        play.leases[17] = lease(RunId(RUN), 17, 0, Phase::Lost);
        play.standing.crew = playing(300, 1);
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    browser.until("document.querySelectorAll('#steps tbody tr').length === 3").await;
    assert_eq!(browser.is("document.querySelectorAll('#grid .cell.lost').length").await, 1);
    assert!(browser.text("#odd").await.contains("worker 17"));
    // What happens is seen without asking again.
    let (sample, flown) = failure(4, "login", "no reply within 5s");
    stage.change(|play| {
        let now_s = play.windows.len() as u64;
        play.windows.extend((now_s..now_s + 3).map(|at| window(at, 1, &["login", "matchmake", "move", "leave"])));
        play.leases[18] = lease(RunId(RUN), 18, 1, Phase::Playing);
        play.standing.crew = playing(300, 2);
        play.standing.failures.samples.push(sample);
        play.standing.failures.flights.push(flown);
        play.standing.markers.push(Marker { at_ms: now_ms(), text: "matchmaker deployed".into(), by: "ci".into() });
        play.records[0].note(now_ms(), "worker 18 was started again (attempt 1)");
    });
    browser.until("document.querySelectorAll('#steps tbody tr').length === 4").await;
    browser.until("document.querySelector('#odd').textContent.includes('leased again')").await;
    browser.until("document.querySelector('#events').textContent.includes('matchmaker deployed')").await;
    browser.until("document.querySelector('#events').textContent.includes('was started again')").await;
    browser.until("document.querySelector('#crew-lost').textContent === '2'").await;
    // A click on a failure shows what the bot did.
    browser.until("document.querySelector('#samples details')").await;
    browser.click("#samples summary").await;
    assert!(browser.text("#samples pre").await.contains("begins login"));
    // Zoom, by keyboard: all charts show the same time.
    let range = "JSON.stringify(['players', 'rate', 'times'].map((id) => { const x = Chart.getChart('chart-' + id).scales.x; \
                 return [x.min, x.max]; }))";
    let whole = browser.is(range).await;
    browser.click("#zoom-in").await;
    let zoomed = browser.is(range).await;
    assert_ne!(whole, zoomed);
    let ranges: Vec<(f64, f64)> = serde_json::from_str(zoomed.as_str().unwrap()).unwrap();
    assert!(ranges.iter().all(|range| *range == ranges[0]), "{ranges:?}");
    browser.click("#whole").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn stop_and_dial_are_asked_twice() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(30, 2, &STEPS);
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    assert_eq!(browser.is("document.querySelector('#stop button').checkVisibility()").await, false);
    browser.click("#dial summary").await;
    browser.fill("#dial input", "1.5").await;
    browser.click("#dial button").await;
    browser.until("document.querySelector('#events').textContent.includes('load turned to 1.5')").await;
    browser.click("#mark summary").await;
    browser.fill("#mark input", HOSTILE).await;
    browser.click("#mark button").await;
    browser.until("document.querySelector('#events').textContent.includes('<img src=x')").await;
    browser.click("#stop summary").await;
    assert_eq!(stage.done(), ["dial 1.5"], "one click stops nothing");
    browser.click("#stop button").await;
    browser.until("document.querySelector('#state').textContent.includes('draining')").await;
    assert_eq!(stage.done(), ["dial 1.5", "stop false by local"]);
    // At its end the verdict is there, first.
    stage.change(|play| {
        let record = &mut play.records[0];
        record.state = RunState::Ended;
        record.ended_at_ms = Some(now_ms());
        record.judgement = Some(judged(Verdict::Fail, "p99(login) < 250ms was missed"));
    });
    browser.until("document.querySelector('.verdict.fail')").await;
    assert!(browser.text(".verdict").await.contains("was missed"));
    assert!(browser.is("document.querySelector('#controls') === null").await.as_bool().unwrap());
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_page_comes_back_when_the_service_does() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(40, 2, &STEPS);
    let served = served(&stage).await;
    let addr = served.addr;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    served.end().await;
    browser.until("document.querySelector('#age').textContent.startsWith('Not connected for')").await;
    assert!(
        browser.text("#age").await.contains("up to 0:3"),
        "it says how old its data is: {}",
        browser.text("#age").await
    );
    stage.change(|play| play.windows.extend((35..40).map(|at| window(at, 1, &["login", "after"]))));
    let again = Served::open(&stage, addr).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    browser.until("document.querySelector('#steps').textContent.includes('after')").await;
    // Nothing is there twice: each second is one point.
    let times = browser.is("Chart.getChart('chart-players').data.datasets[0].data.map((point) => point.x)").await;
    let times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    again.end().await;
}

#[tokio::test]
async fn whoever_falls_behind_gets_coarser_figures_and_is_told() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(700, 2, &STEPS);
    stage.change(|play| play.windows.extend((0..69).map(|at| window(at * 10, 10, &STEPS))));
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    assert!(browser.text("#coarse").await.contains("Each point covers 10 s"));
    // As if it had slept: the place where it was is long gone.
    let behind = "(() => { const s = new EventSource(document.querySelector('#run').dataset.run.replace(/^/, '/data/runs/') \
                  + '/live?after=3-0'); s.addEventListener('behind', (e) => { document.title = e.data; s.close(); }); return 1; })()";
    browser.is(behind).await;
    browser.until("document.title.includes('\"from_s\":3')").await;
}

#[tokio::test]
async fn a_page_that_was_away_fetches_what_it_missed_and_says_so() {
    let Some(browser) = Browser::open().await else { return };
    // 900 s have passed; the figures came only to 695 s so far.
    let stage = running(900, 2, &STEPS);
    stage.change(|play| {
        play.windows = (0..69).map(|at| window(at * 10, 10, &STEPS)).collect();
        play.windows.extend((0..695).map(|at| window(at, 1, &STEPS)));
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live. Figures up to 11:30')").await;
    let addr = served.addr;
    served.end().await;
    browser.until("document.querySelector('#age').textContent.startsWith('Not connected for')").await;
    stage.change(|play| {
        play.windows.extend((69..89).map(|at| window(at * 10, 10, &["login", "matchmake", "missed"])));
        play.windows.extend((695..893).map(|at| window(at, 1, &["login", "matchmake", "missed"])));
    });
    let again = Served::open(&stage, addr).await;
    browser.until("document.querySelector('#coarse').textContent.includes('This page fell behind: from 11:30')").await;
    browser.until("document.querySelector('#steps').textContent.includes('missed')").await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live. Figures up to 14:5')").await;
    // It has all of the time, each part of it once.
    let times = "Chart.getChart('chart-players').data.datasets[0].data.map((point) => point.x)";
    let times: Vec<f64> = serde_json::from_value(browser.is(times).await).unwrap();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 10.0), "{times:?}");
    assert!(browser.text("#coarse").await.contains("fell behind"), "what was said stays");
    again.end().await;
}

#[tokio::test]
async fn a_time_without_figures_says_so() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(90, 2, &STEPS);
    stage.change(|play| {
        let record = &mut play.records[0];
        (record.state, record.ended_at_ms) = (RunState::Ended, Some(record.start_at_ms + 86_000));
        play.windows.retain(|window| !(20..60).contains(&(window.from_us / 1_000_000)));
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#run').dataset.ready").await;
    assert_eq!(browser.is("document.querySelector('#no-figures').hidden").await, true);
    for _ in 0..3 {
        browser.click("#zoom-in").await;
    }
    assert_eq!(browser.text("#no-figures").await, "There are no figures in this time.");
    browser.click("#whole").await;
    assert_eq!(browser.is("document.querySelector('#no-figures').hidden").await, true);
}

#[tokio::test]
async fn hostile_names_are_texts() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(30, 3, &[HOSTILE, "{{constructor}}", "__proto__"]);
    let (sample, flown) = failure(1, HOSTILE, HOSTILE);
    stage.change(|play| {
        let record = &mut play.records[0];
        (record.scenario, record.target, record.by.name) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        record.request.build = HOSTILE.into();
        record.note(now_ms(), HOSTILE);
        play.lines[0] = line(record);
        play.standing.failures.samples.push(sample);
        play.standing.failures.flights.push(flown);
        play.leases[0].end = Some(loadkit_worker::WorkerEnd { error: Some(HOSTILE.into()), ..Default::default() });
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    for page in ["/".to_owned(), path(), format!("/launch?from={}", RunId(RUN))] {
        browser.goto(&served.url(&page)).await;
        if page.starts_with("/runs") {
            browser.until("document.querySelectorAll('#steps tbody tr').length >= 2").await;
            browser.until("document.querySelector('#samples').textContent.includes('onerror')").await;
            assert!(browser.text("#steps").await.contains("<img src=x onerror=alert(1)>"));
            assert!(browser.text("#odd").await.contains("<img src=x"));
        }
        assert_eq!(browser.is("document.querySelectorAll('img, main b b').length").await, 0, "{page}");
        assert_eq!(browser.complaints().await, [""; 0], "{page}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(2, 1, &STEPS);
    let served = served(&stage).await;
    browser.goto(&served.url("/runs/0000000000000def")).await;
    assert!(browser.text("main").await.contains("there is no run"));
    browser.goto(&served.url("/compare?run=0000000000000abc")).await;
    assert!(browser.text("main").await.contains("two runs or more"));
    browser.goto(&served.url(&path())).await;
    browser.until("document.querySelector('#age').textContent.includes('no figures yet')").await;
    assert_eq!(
        browser.is("document.querySelector('#no-figures').hidden").await,
        false,
        "a time without figures says so"
    );
}

#[tokio::test]
async fn names_that_are_wider_than_a_phone_do_not_widen_pages() {
    let Some(browser) = Browser::open().await else { return };
    let long = "a_step_with_a_name_that_is_much_longer_than_any_phone_is_wide_really";
    let stage = running(60, 300, &["login", "matchmake", long]);
    let (sample, flown) = failure(4, long, &long.repeat(3));
    stage.change(|play| {
        let record = &mut play.records[0];
        (record.target, record.request.build) = (format!("{long}.example:4000"), long.into());
        play.lines[0] = line(record);
        play.standing.failures.samples.push(sample);
        play.standing.failures.flights.push(flown);
        play.standing.markers.push(Marker { at_ms: now_ms() - 60_000, text: long.into(), by: long.into() });
    });
    let served = served(&stage).await;
    browser.screen(390, 844, false).await;
    for page in ["/".to_owned(), path(), "/launch".to_owned(), format!("/launch?from={}", RunId(RUN))] {
        browser.goto(&served.url(&page)).await;
        if page.starts_with("/runs") {
            browser.until("document.querySelectorAll('#steps tbody tr').length === 3").await;
            browser.until("document.querySelector('#samples details')").await;
        }
        browser.fits().await;
        browser.picture(&format!("long-{}", page.len())).await;
    }
}

#[tokio::test]
async fn a_day_of_a_thousand_workers_is_a_small_page() {
    let Some(browser) = Browser::open().await else { return };
    let stage = running(0, 1_000, &[]);
    let steps: Vec<String> = (0..20).map(|i| format!("step_{i}")).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    stage.change(|play| {
        let day = Duration::from_secs(86_400);
        play.records[0] = run(RUN, day, 1_000);
        play.windows = (0..287).map(|at| window(at * 300, 300, &steps)).collect();
        play.windows.extend((0..1_439).map(|at| window(at * 60, 60, &steps)));
        play.windows.extend((86_250..86_395).map(|at| window(at, 1, &steps)));
    });
    let served = served(&stage).await;
    browser.screen(1_280, 900, false).await;
    let began = std::time::Instant::now();
    browser.goto(&served.url(&path())).await;
    browser
        .until("document.querySelector('#run').dataset.ready && Chart.getChart('chart-times').data.datasets.length")
        .await;
    println!("a day of 1,000 workers opens in {:?}", began.elapsed());
    let sent = "performance.getEntries().filter((e) => e.transferSize).reduce((sum, e) => sum + e.transferSize, 0)";
    let sent = browser.is(sent).await.as_f64().unwrap();
    println!("and takes {sent} bytes");
    assert!(sent < 1e6, "{sent}");
    let points = browser.is("Chart.getChart('chart-players').data.datasets[0].data.length").await.as_u64().unwrap();
    assert!((300..600).contains(&points), "{points}");
    assert_eq!(browser.is("document.querySelectorAll('#grid .cell').length").await, 1_000);
}
