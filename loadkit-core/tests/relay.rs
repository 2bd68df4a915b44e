//! Workers that begin late, and hand their players over, in virtual time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::*;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Plays at 1 Hz for so many seconds, or until it is asked to leave, and needs a moment to go.
#[derive(Clone, Copy)]
struct Steps(u64);

impl Scenario for Steps {
    type Bot = Steps;

    fn bot(&self, _: Seat) -> Steps {
        *self
    }
}

impl Bot for Steps {
    async fn run(&mut self, cx: &Cx) -> Result {
        let mut ticks = cx.ticks(Hz(1.0)).take_for(secs(self.0));
        while ticks.next().await.is_some() {
            cx.step("step", async { Ok::<_, Error>(()) }).await?;
            cx.count("steps", 1);
        }
        cx.sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

/// Players of the shape at the end of a second, without what is due at that very time: it is in the next interval.
fn shape(plan: &Plan, second: u64) -> u64 {
    plan.shape().population(secs(second) - Duration::from_nanos(1))
}

/// Plays the window of one worker; all its snapshots.
fn play(plan: &Plan, steps: Steps, worker: u32, window: Window, shards: u32, dial: f64) -> Vec<Snapshot> {
    struct Kept(Vec<Snapshot>);
    #[async_trait::async_trait]
    impl MetricSink for Kept {
        async fn publish(&mut self, snapshot: &Snapshot) -> std::result::Result<(), Failure> {
            self.0.push(snapshot.clone());
            Ok(())
        }
    }
    let job = Job { shards, worker, window, ..Job::whole(RunId(1), plan.clone(), Target::default(), Seed(7)) };
    let (mut kept, control) = (Kept(Vec::new()), Control::new());
    control.dial(dial);
    let ended = run(&Arc::new(steps), &job, &(Arc::new(Virtual) as Arc<dyn Host>), &control, &mut kept).unwrap();
    assert_eq!((ended.shards_lost, ended.snapshots_lost), (0, 0));
    kept.0
}

/// A run of generations.
struct Relay {
    totals: Totals,
    /// Players at work, and players planned, at the end of each second.
    at: BTreeMap<u64, (u64, u64)>,
}

fn relay(plan: &Plan, steps: Steps, turns: &[u64], shards: u32, dial: f64) -> Relay {
    let froms = std::iter::once(0).chain(turns.iter().copied());
    let untils = turns.iter().map(|turn| Some(secs(*turn))).chain([None]);
    let (mut collector, mut at) = (Collector::new(plan.interval()), BTreeMap::new());
    for ((worker, from), until) in (0..).zip(froms).zip(untils) {
        let window = Window { from: secs(from), until, over: secs(60), overlap: secs(5) };
        let snapshots = play(plan, steps, worker, window, shards, dial);
        assert!(snapshots.iter().all(|snapshot| snapshot.from_us >= from * 1_000_000), "times are the run's");
        for snapshot in &snapshots {
            assert_eq!(collector.apply(snapshot), Applied::New);
            assert_eq!(collector.apply(snapshot), Applied::Duplicate);
            if snapshot.to_us.is_multiple_of(1_000_000) {
                let (active, planned) = at.entry(snapshot.to_us / 1_000_000).or_insert((0, 0));
                (*active, *planned) = (*active + snapshot.active, *planned + snapshot.planned);
            }
        }
    }
    Relay { totals: collector.totals().clone(), at }
}

#[test]
fn three_generations_play_forty_minutes_as_one() {
    let plan = Plan::builder().stages([Stage::ramp(100, secs(60)), Stage::hold(secs(2_340))]).build().unwrap();
    for shards in [1, 2] {
        let Relay { totals, at } = relay(&plan, Steps(10_000), &[780, 1_590], shards, 1.0);
        assert_eq!(at.len(), 2_400);
        for (second, (active, planned)) in at.range(..2_400) {
            let shape = shape(&plan, *second);
            assert!(planned.abs_diff(shape) <= 1 && *planned <= shape, "{planned} of {shape} planned at {second}");
            assert!(*active * 100 >= planned * 98, "{active} of {planned} at {second}");
            // A seat that changes hands has two players for the time of the overlap.
            assert!(*active <= planned + 100 * 5 / 60 + 1, "{active} of {planned} at {second}");
        }
        assert_eq!((totals.failed(), totals.cut_off, totals.started, totals.finished), (0, 0, 300, 300));
        assert_eq!(totals.count(names::HANDED_OVER), 200);
        // Seat s plays from 0.6 s times s to the end, and each time it changes hands five seconds twice: one step a second.
        let steps: u64 = (0..100).map(|seat| 2_400 - seat * 6 / 10 + 10).sum();
        assert!(totals.count("steps").abs_diff(steps) <= 300, "{} of {steps}", totals.count("steps"));
        assert_eq!(totals.steps["step"].succeeded(), totals.count("steps"));
    }
}

#[test]
fn short_lives_go_on_through_the_relay() {
    let plan = Plan::builder().stages([Stage::step(200, secs(900))]).build().unwrap();
    let Relay { totals, at } = relay(&plan, Steps(7), &[300, 600], 2, 1.0);
    for (second, (active, planned)) in at.range(..900) {
        assert!(*planned == 200 && *active >= 196, "{active} of {planned} at {second}");
    }
    assert_eq!(totals.failed(), 0);
}

#[test]
fn a_shape_that_moves_while_seats_change_hands_is_followed() {
    let up =
        [Stage::ramp(300, secs(300)), Stage::ramp(50, secs(150)), Stage::spike(200, secs(20)), Stage::hold(secs(130))];
    let plan = Plan::builder().stages(up).build().unwrap();
    // In the ramp up, in the ramp down, and just before the spike.
    for (turns, dials) in [(vec![200], 2), (vec![320], 1), (vec![440], 1), (vec![100, 280, 430], 3)] {
        for dial in [1.0, 0.5, 2.0].into_iter().take(dials) {
            let Relay { totals, at } = relay(&plan, Steps(10_000), &turns, 1, dial);
            for (second, (active, planned)) in at.range(..600) {
                let shape = (shape(&plan, *second) as f64 * dial) as u64;
                assert!(planned.abs_diff(shape) <= 5, "{turns:?}: {planned} of {shape} planned at {second}");
                assert!(*active * 100 >= planned * 98, "{turns:?}: {active} of {planned} at {second}");
            }
            assert_eq!((totals.failed(), totals.cut_off), (0, 0));
        }
    }
}

#[test]
fn who_comes_late_joins_evenly_at_intended_times() {
    let plan = Plan::builder().stages([Stage::step(120, secs(100)), Stage::step(180, secs(100))]).build().unwrap();
    let window = Window { from: Duration::from_millis(50_500), over: secs(30), ..Window::default() };
    let snapshots = play(&plan, Steps(10_000), 3, window, 2, 1.0);
    let planned =
        |second: u64| -> u64 { snapshots.iter().filter(|s| s.to_us == second * 1_000_000).map(|s| s.planned).sum() };
    let first = snapshots.iter().map(|s| (s.from_us, s.to_us)).min().unwrap();
    assert_eq!(first, (50_500_000, 51_000_000));
    assert_eq!([51, 60, 70, 81, 100, 101].map(planned), [2, 38, 78, 120, 120, 180]);
    let mut collector = Collector::new(plan.interval());
    assert!(snapshots.iter().all(|snapshot| collector.apply(snapshot) == Applied::New));
    let totals = collector.totals();
    assert!(totals.trends[names::START_LAG].values.max() < 2_000, "the time before it began is nobody's lateness");
    assert_eq!((totals.started, totals.to_us / 1_000_000), (180, 200));
}

#[test]
fn arrivals_are_started_once_and_play_on_to_the_end_of_their_worker() {
    let rate = Rate::per_second(4).unwrap();
    let plan =
        Plan::builder().stages([Stage::step(10, secs(1)), Stage::arrivals(rate, secs(400)).poisson()]).build().unwrap();
    let Relay { totals, at } = relay(&plan, Steps(20), &[150, 290], 2, 1.0);
    let lives: u64 = totals.started - plan.shape().arrivals();
    // Population seats play 20 s lives and are filled again; they take their share beside 1,600 arrivals.
    assert!((200..=240).contains(&lives), "{lives}");
    assert!(at.range(30..400).all(|(_, (active, planned))| active + 2 >= *planned && *active <= planned + 12));
}

#[test]
fn a_total_is_shared_by_time() {
    let plan = Plan::builder().stages([Stage::step(10, secs(600))]).total(100).build().unwrap();
    let Relay { totals, .. } = relay(&plan, Steps(5), &[200, 400], 1, 1.0);
    // Each seat that is taken over is one more life.
    assert_eq!(totals.started - 20, 100);
}

#[test]
fn windows_without_time_are_refused() {
    let plan = Plan::builder().stages([Stage::step(1, secs(60))]).build().unwrap();
    let window = Window { from: secs(20), until: Some(secs(20)), ..Window::default() };
    let job = Job { window, ..Job::whole(RunId(1), plan, Target::default(), Seed(1)) };
    let host = Arc::new(Virtual) as Arc<dyn Host>;
    let mut sink = Collector::new(secs(1));
    let error = run(&Arc::new(Steps(1)), &job, &host, &Control::new(), &mut sink).unwrap_err();
    assert!(error.to_string().starts_with("nothing can be played from 20s to 20s"), "{error}");
}
