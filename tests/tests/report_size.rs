//! A report is no larger after a day than after an hour.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use loadkit::core::{Report, write_report};
use loadkit::rand::RngExt as _;
use loadkit::sim::Simulation;
use loadkit::{Bot, Cx, Hz, Plan, Result, Scenario, Seat};
use tokio::time::{Instant, sleep_until};

const HOUR: Duration = Duration::from_secs(3_600);

/// A game without a server: each move takes its time, now and then a long one.
struct Alone;
struct Player;

impl Scenario for Alone {
    type Bot = Player;

    fn bot(&self, _: Seat) -> Player {
        Player
    }
}

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        let mut ticks = cx.ticks(Hz(0.2));
        while let Some(tick) = ticks.next().await {
            let took = if tick.index % 400 == 399 { 6_000 } else { cx.rng().random_range(5..45) };
            let name = if tick.index % 10 == 9 { "buy" } else { "move" };
            cx.step(name, async {
                sleep_until(Instant::now() + Duration::from_millis(took)).await;
                Ok::<(), loadkit::Error>(())
            })
            .await?;
        }
        Ok(())
    }
}

/// The files that a run of so long leaves, and their sizes.
fn sizes(time: Duration) -> (Report, BTreeMap<String, u64>) {
    let interval = Duration::from_secs(10);
    let plan = Plan::builder().bots(3).duration(time).interval(interval).build().unwrap();
    let report = Simulation::new(Alone).plan(plan).seed(7).run().unwrap().report;
    let folder = tempfile::tempdir().unwrap();
    write_report(folder.path(), &report).unwrap();
    let files = fs::read_dir(folder.path()).unwrap().map(|file| {
        let file = file.unwrap();
        (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())
    });
    let files = files.collect();
    let read = Report::load(folder.path()).unwrap();
    assert_eq!(read.intervals.steps.len(), 2);
    assert_eq!(read.intervals.steps["move"].whole_response().count(), report.steps["move"].succeeded);
    (report, files)
}

#[test]
fn a_day_takes_no_more_room_than_an_hour() {
    let ((hour, of_an_hour), (day, of_a_day)) = (sizes(HOUR), sizes(24 * HOUR));
    assert!(day.steps["move"].count > 20 * hour.steps["move"].count, "the day was played");
    assert_eq!(of_an_hour.keys().collect::<Vec<_>>(), of_a_day.keys().collect::<Vec<_>>());
    for (file, &bytes) in &of_a_day {
        println!("{file}: {bytes} bytes after a day, {} after an hour", of_an_hour[file]);
        // From 150 to 300 points, and in each of them more different times. (How well they are compressed depends on which
        // zlib the build has.)
        assert!(bytes <= 4 * of_an_hour[file] + 2_000, "{file}: {bytes} bytes, {} after an hour", of_an_hour[file]);
    }
    let all = |files: &BTreeMap<String, u64>| files.values().sum::<u64>();
    println!("in all: {} bytes after a day, {} after an hour", all(&of_a_day), all(&of_an_hour));
    assert!(all(&of_a_day) < 2_000_000);
}
