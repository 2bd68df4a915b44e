//! The load turned up and down while it runs, in virtual time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadkit_core::*;
use proptest::prelude::*;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Seats that were seen at work, a set for each time of looking.
type Looks = Arc<Mutex<Vec<BTreeSet<u64>>>>;

/// Players who stay until they are asked to leave, and someone at the dial.
struct Dialled {
    control: Control,
    /// At which second the dial is turned, and where to.
    turns: Vec<(u64, f64)>,
    /// At which seconds the seats at work are written down.
    looks: Vec<u64>,
    seen: Looks,
    here: Arc<Mutex<BTreeSet<u64>>>,
    is_stubborn: bool,
}

struct Stay(Arc<Mutex<BTreeSet<u64>>>, bool);

impl Bot for Stay {
    async fn run(&mut self, cx: &Cx) -> Result {
        let seat = cx.seat();
        assert!(self.0.lock().unwrap().insert(seat.index()), "a seat has one player at a time");
        let _here = Here(self.0.clone(), seat.index());
        if let Some(original) = seat.twin_of() {
            let plan = cx.run().plan();
            let first = plan.first_twin() / plan.party();
            assert_eq!((seat.party() - first) * plan.party(), original - seat.party_place());
            let seats = plan.shape().seats() - (original - seat.party_place());
            assert_eq!(seat.party_size(), seats.min(plan.party()), "a twin's party is as large as its original's");
            cx.count("twins", 1);
        }
        cx.party().shared(|| ());
        cx.stopped().await;
        if self.1 {
            std::future::pending::<()>().await;
        }
        cx.sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

struct Here(Arc<Mutex<BTreeSet<u64>>>, u64);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

impl Scenario for Dialled {
    type Bot = Stay;

    fn bot(&self, _: Seat) -> Stay {
        Stay(self.here.clone(), self.is_stubborn)
    }

    fn shard(&self, _: &RunInfo) {
        let start = tokio::time::Instant::now();
        let (control, turns) = (self.control.clone(), self.turns.clone());
        tokio::task::spawn_local(async move {
            for (at, to) in turns {
                tokio::time::sleep_until(start + secs(at)).await;
                control.dial(to);
            }
        });
        let (looks, seen, here) = (self.looks.clone(), self.seen.clone(), self.here.clone());
        tokio::task::spawn_local(async move {
            for at in looks {
                tokio::time::sleep_until(start + secs(at)).await;
                seen.lock().unwrap().push(here.lock().unwrap().clone());
            }
        });
    }
}

/// What came of a run in `segments` of one shard each: its figures, and the seats that were seen at work.
struct Played {
    collector: Collector,
    seen: Vec<BTreeSet<u64>>,
}

impl Played {
    /// Players at work and players planned, at the end of this second.
    fn at(&self, second: usize) -> (u64, u64) {
        let point = &self.collector.points()[second - 1];
        (point.active(), point.planned())
    }
}

#[derive(Clone, Default)]
struct Play {
    segments: u64,
    before: Option<f64>,
    turns: Vec<(u64, f64)>,
    looks: Vec<u64>,
    is_stubborn: bool,
}

impl Play {
    fn run(&self, plan: &Plan) -> Played {
        let mut collector = Collector::new(plan.interval());
        let mut seen: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); self.looks.len()];
        for index in 0..self.segments.max(1) {
            let control = Control::new();
            self.before.inspect(|before| assert!(control.dial(*before)));
            let scenario = Dialled {
                control: control.clone(),
                turns: self.turns.clone(),
                looks: self.looks.clone(),
                seen: Looks::default(),
                here: Arc::default(),
                is_stubborn: self.is_stubborn,
            };
            let looked = scenario.seen.clone();
            let job = Job {
                shards: 1,
                worker: index as u32,
                segment: Segment::new(index, self.segments.max(1)).unwrap(),
                ..Job::whole(RunId(1), plan.clone(), Target::default(), Seed(7))
            };
            let host = Arc::new(Virtual) as Arc<dyn Host>;
            let ended = run(&Arc::new(scenario), &job, &host, &control, &mut collector).unwrap();
            assert_eq!(ended.shards_lost, 0);
            for (all, part) in seen.iter_mut().zip(looked.lock().unwrap().iter()) {
                assert!(all.is_disjoint(part), "two segments played one seat");
                all.extend(part);
            }
        }
        Played { collector, seen }
    }
}

fn plan(stages: Vec<Stage>, party: u64) -> Plan {
    Plan::builder().stages(stages).party(party).build().unwrap()
}

#[test]
fn half_twice_and_back_are_exact_and_back_are_the_same_seats() {
    let turns = vec![(20, 0.5), (40, 2.0), (60, 1.0), (80, 0.0), (100, 1.0)];
    for (segments, party) in [(1, 1), (3, 1), (1, 4), (3, 4)] {
        let play = Play { segments, turns: turns.clone(), looks: vec![15, 35, 55, 75, 115], ..Play::default() };
        let played = play.run(&plan(vec![Stage::step(1_000, secs(120))], party));
        // Exact on one shard; on more, a party more or less on each.
        let close = |n: u64, to: u64| n.abs_diff(to) <= if segments == 1 && party == 1 { 0 } else { segments * party };
        for (second, to) in [(15, 1_000), (35, 500), (55, 2_000), (75, 1_000), (95, 0), (115, 1_000)] {
            let (active, planned) = played.at(second);
            assert!(active == planned && close(active, to), "{segments} {party}: {active} at {second}");
        }
        let [first, half, twice, back, again] = &played.seen[..] else { panic!("five looks") };
        let all: BTreeSet<u64> = (0..1_000).collect();
        assert!(*first == all && *back == all && *again == all);
        assert!(half.is_subset(&all) && twice.is_superset(&all));
        let parties: BTreeSet<u64> = half.iter().map(|seat| seat / party).collect();
        assert_eq!(half.len() as u64, parties.len() as u64 * party, "parties stay whole");
        let totals = played.collector.totals();
        assert_eq!((totals.failed(), totals.cut_off, totals.count("twins")), (0, 0, 1_000));
        let dial = totals.gauge(names::DIAL).unwrap();
        assert_eq!((dial.last, dial.min, dial.max), (1.0, 0.0, 2.0));
    }
}

#[test]
fn a_dial_turned_up_spreads_its_starts() {
    let play = Play { turns: vec![(10, 2.0)], ..Play::default() };
    let played = play.run(&plan(vec![Stage::step(1_000, secs(30))], 1));
    let points = played.collector.points();
    let started: Vec<u64> = points[10..15].iter().map(|point| point.started).collect();
    assert!(started.iter().all(|n| n.abs_diff(200) < 60), "{started:?}");
    assert_eq!((started.iter().sum::<u64>(), played.at(16)), (1_000, (2_000, 2_000)));
    assert!(played.collector.totals().trends[names::START_LAG].values.max() < 2_000);
}

#[test]
fn a_dial_said_before_the_start_holds_from_the_start_and_through_ramps() {
    let stages = vec![Stage::ramp(1_000, secs(100)), Stage::hold(secs(50)), Stage::ramp(0, secs(100))];
    let early = Play { before: Some(0.5), ..Play::default() }.run(&plan(stages.clone(), 1));
    let turned = Play { turns: vec![(30, 0.5), (200, 1.5)], segments: 3, ..Play::default() }.run(&plan(stages, 1));
    for second in (10..250).step_by(10) {
        let shape = early_shape(second);
        let half = early.at(second as usize);
        assert!(half.0.abs_diff(shape / 2) <= 4 && half.0 == half.1, "{half:?} at {second}, where {shape} are planned");
        let due = match second {
            0..=30 => shape,
            31..=200 => shape / 2,
            _ => shape * 3 / 2,
        };
        // It follows within five seconds.
        let now = turned.at(second as usize);
        let is_settled = second % 200 >= 10;
        assert!(now.0 == now.1 && (!is_settled || now.0.abs_diff(due) <= 12), "{now:?} at {second}: {due}");
    }
    assert_eq!(early.collector.totals().started, 500);
}

/// Players planned at this second by the ramp up, the hold and the ramp down.
fn early_shape(second: u64) -> u64 {
    (second * 10).min(1_000).min((250 - second) * 10)
}

#[test]
fn arrivals_are_thinned_and_doubled() {
    let stages = vec![Stage::arrivals(Rate::per_second(20).unwrap(), secs(100))];
    let started = |turns: &[(u64, f64)]| {
        let played = Play { turns: turns.to_vec(), segments: 3, ..Play::default() }.run(&plan(stages.clone(), 1));
        (played.collector.totals().started, played.at(99))
    };
    assert_eq!(started(&[]), (2_000, (1_980, 1_980)));
    let (half, (active, planned)) = started(&[(0, 0.5)]);
    assert!(half.abs_diff(1_000) <= 6 && active == planned);
    let (more, _) = started(&[(0, 1.25)]);
    assert!(more.abs_diff(2_500) <= 6);
    // Half of those who had arrived go, and do not come back.
    let (all, (active, _)) = started(&[(50, 0.5), (75, 1.0)]);
    assert!(all.abs_diff(1_750) <= 9 && active.abs_diff(500 + 250 + 480) <= 9, "{all} {active}");
}

#[test]
fn who_does_not_leave_is_cut_off_after_the_grace_time_and_the_run_goes_on() {
    let play = Play { turns: vec![(5, 0.5), (30, 1.0)], is_stubborn: true, looks: vec![14, 16, 40], ..Play::default() };
    let played = play.run(&plan(vec![Stage::step(100, secs(60))], 1));
    assert_eq!(played.seen.iter().map(BTreeSet::len).collect::<Vec<_>>(), [100, 50, 100]);
    let totals = played.collector.totals();
    assert_eq!((totals.started, totals.finished, totals.failed(), totals.cut_off), (150, 0, 0, 150));
}

#[test]
fn nobody_at_all_is_not_the_end_of_the_run() {
    let play = Play { before: Some(0.0), turns: vec![(20, 1.0)], ..Play::default() };
    let stay = Plan::builder().stages([Stage::step(10, secs(60))]).refill(None).build().unwrap();
    let played = play.run(&stay);
    assert_eq!((played.at(19), played.at(30), played.collector.totals().started), ((0, 0), (10, 10), 10));
}

#[test]
fn the_total_bounds_what_the_dial_starts() {
    let bounded = |total| Plan::builder().stages([Stage::step(100, secs(60))]).total(total).build().unwrap();
    let twice = Play { before: Some(2.0), ..Play::default() };
    assert_eq!(twice.run(&bounded(130)).collector.totals().started, 130);
    // Those who were left out at first have not been started yet.
    let late = Play { before: Some(0.5), turns: vec![(10, 1.0)], ..Play::default() };
    assert_eq!(late.run(&bounded(100)).collector.totals().started, 100);
    let back = Play { turns: vec![(10, 0.5), (20, 1.0)], ..Play::default() };
    assert_eq!(back.run(&bounded(120)).collector.totals().started, 120);
}

#[test]
fn a_twin_without_an_account_fails_once_and_clearly() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("accounts.csv"), format!("account\n{}", "someone\n".repeat(15))).unwrap();
    let text = "bots = 10\nduration = \"60s\"\n[accounts]\nfile = \"accounts.csv\"\n";
    let file = dir.path().join("plan.toml");
    std::fs::write(&file, text).unwrap();
    let played = Play { before: Some(2.0), ..Play::default() }.run(&Plan::load(&file).unwrap());
    let totals = played.collector.totals();
    assert_eq!((totals.started, &totals.failed[..]), (20, &[("no-row".to_owned(), 5)][..]));
    assert!(totals.samples.iter().all(|sample| sample.message.contains("has 15")), "{:?}", totals.samples);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_dial_is_followed(dial in 0.0..=2.0f64, players in 1u64..400, segments in 1u64..4, party in 1u64..5) {
        let play = Play { segments, turns: vec![(5, dial)], ..Play::default() };
        let played = play.run(&plan(vec![Stage::ramp(players, secs(10)), Stage::hold(secs(10))], party));
        let (active, planned) = played.at(19);
        let (per_shard, wanted) = (players.div_ceil(party * segments) as f64, dial * players as f64);
        let bound = (segments * party) as f64 * (2.0 + per_shard.log2() / 3.0);
        prop_assert_eq!((active, played.collector.totals().failed()), (planned, 0));
        prop_assert!((active as f64 - wanted).abs() <= bound, "{} of {}", active, wanted);
    }
}
