//! Whole runs in virtual time: the server and its players on one thread, over memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arena::serve::Service;
use arena::wire::{FindMatch, FromServer, Login, Move};
use arena::{Arena, Comparison, Counts, Options, Rules, Stall};
use loadkit::core::{Collector, Control, Host, Job, RunId, Seed, Target, Totals, Virtual, Weights, WeightsError, run};
use loadkit::transport::protobuf::Enveloped;
use loadkit::transport::{Endpoint, Rudp};
use loadkit::{Bot, Cx, Hz, Plan, Result, RunInfo, Scenario, Seat};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A scenario with the arena's server beside its players, one on each shard.
struct WithServer<S> {
    scenario: S,
    options: Options,
    counts: Arc<Mutex<Counts>>,
}

impl<S: Scenario> Scenario for WithServer<S> {
    type Bot = S::Bot;

    fn bot(&self, seat: Seat) -> S::Bot {
        self.scenario.bot(seat)
    }

    fn personas(&self) -> Result<Weights, WeightsError> {
        self.scenario.personas()
    }

    fn shard(&self, _: &RunInfo) {
        let service = Service::new(Endpoint::listen_mem("arena").unwrap(), self.options.clone());
        let mut told = Told { service, counts: self.counts.clone() };
        tokio::task::spawn_local(async move { told.service.run(std::future::pending()).await });
    }
}

/// Tells what the server has done when the shard ends.
struct Told {
    service: Service,
    counts: Arc<Mutex<Counts>>,
}

impl Drop for Told {
    fn drop(&mut self) {
        *self.counts.lock().unwrap() = self.service.counts();
    }
}

/// Plays on one shard; what the bots and the server have counted.
fn play<S: Scenario>(scenario: S, options: Options, plan: Plan) -> (Totals, Counts) {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let scenario = WithServer { scenario, options, counts: counts.clone() };
    let mut collector = Collector::new(plan.interval());
    let target = Target::new("mem://arena", Vec::new());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(7)) };
    let host: Arc<dyn Host> = Arc::new(Virtual);
    let ended = run(&Arc::new(scenario), &job, &host, &Control::new(), &mut collector).unwrap();
    assert_eq!(ended.shards_lost, 0);
    let counts = *counts.lock().unwrap();
    (collector.totals().clone(), counts)
}

fn compare(totals: &Totals, counts: &Counts) -> Comparison {
    let step = |name: &str| totals.steps.get(name).map_or((0, 0), |step| (step.succeeded(), step.failed()));
    Comparison::new(counts, step, totals.cut_off)
}

fn half_a_minute(bots: u64) -> Plan {
    Plan::builder().bots(bots).ramp(5 * SECOND).duration(30 * SECOND).party(3).build().unwrap()
}

#[test]
fn bots_and_server_count_the_same() {
    let (totals, counts) = play(Arena, Options::default(), half_a_minute(60));
    assert_eq!((totals.failed(), totals.cut_off), (0, 0), "{:?}", totals.samples);
    let comparison = compare(&totals, &counts);
    assert!(comparison.agrees(), "{comparison}");
    assert_eq!(counts.logins, totals.started);
    assert_eq!(counts.leaves, totals.started, "all leave politely");
    assert_eq!((counts.disconnects, counts.refusals, counts.malformed, counts.unsent), (0, 0, 0, 0));
    assert!(counts.moves > 10_000 && counts.purchases > 100 && counts.matches > 20, "{counts}");
    assert!(counts.snapshots >= totals.count("snapshots"));
}

#[test]
fn the_same_seed_plays_the_same_game() {
    let once = play(Arena, Options::default(), half_a_minute(20));
    let twice = play(Arena, Options::default(), half_a_minute(20));
    assert_eq!(once.1, twice.1);
    assert!(once.0 == twice.0);
}

#[test]
fn dropped_logins_are_failures_of_the_bots_and_counts_of_the_server() {
    let options = Options { drop_logins: 0.2, ..Options::default() };
    let (totals, counts) = play(Arena, options, half_a_minute(60));
    assert!(counts.logins_dropped > 5, "{counts}");
    assert_eq!(totals.steps["login"].failures, [("timed-out".to_owned(), counts.logins_dropped)]);
    let comparison = compare(&totals, &counts);
    assert!(comparison.agrees(), "{comparison}");
}

#[test]
fn a_delay_is_in_the_response_times() {
    let options = Options { delay: Duration::from_millis(50), ..Options::default() };
    let (totals, counts) = play(Arena, options, half_a_minute(20));
    let tick = &totals.steps["tick"];
    assert!((50_000..=50_500).contains(&tick.service.quantile(0.5)), "{}", tick.service.quantile(0.5));
    assert!((50_000..=50_500).contains(&tick.response.quantile(0.5)), "{}", tick.response.quantile(0.5));
    assert!(compare(&totals, &counts).agrees());
}

/// Players who note for themselves how late each tick's answer was.
struct Witnesses(Arc<Mutex<Vec<Duration>>>);

struct Witness(Seat, Arc<Mutex<Vec<Duration>>>);

impl Scenario for Witnesses {
    type Bot = Witness;

    fn bot(&self, seat: Seat) -> Witness {
        Witness(seat, self.0.clone())
    }
}

impl Bot for Witness {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Enveloped::<FromServer>::new())).await?;
        game.call(Login { account: self.0.account() }).await?;
        game.call(FindMatch { party: 0, party_size: 1 }).await?;
        let mut ticks = cx.ticks(Hz(20.0));
        while let Some(tick) = ticks.next().await {
            let order = Move { seq: tick.index as u32 + 1, dx: 1, dy: 1, fire: false };
            cx.step("tick", game.call(order)).await?;
            self.1.lock().unwrap().push(Instant::now() - tick.intended);
            while game.try_recv()?.is_some() {}
        }
        Ok(())
    }
}

#[test]
fn a_stall_shows_in_the_p99_of_response_times_as_it_was_and_not_in_service_times() {
    let truth = Arc::new(Mutex::new(Vec::new()));
    let options = Options {
        stall: Some(Stall { lasts: SECOND, every: 10 * SECOND }),
        delay: Duration::from_millis(3),
        rules: Rules { match_time: 3_600 * SECOND, ..Rules::default() },
        ..Options::default()
    };
    // A ramp that is no multiple of the ticks: they fall before, into and after the stalls everywhere.
    let plan = Plan::builder().bots(10).ramp(Duration::from_millis(970)).duration(150 * SECOND).build().unwrap();
    let (totals, counts) = play(Witnesses(truth.clone()), options, plan);
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    let mut truth = std::mem::take(&mut *truth.lock().unwrap());
    truth.sort();
    let rank = (truth.len() as f64 * 0.99).ceil() as usize;
    let truth_us = truth[rank - 1].as_micros() as f64;
    let tick = &totals.steps["tick"];
    assert_eq!((tick.succeeded(), counts.moves), (truth.len() as u64, truth.len() as u64));
    let p99_us = tick.response.quantile(0.99) as f64;
    assert!((p99_us / truth_us - 1.0).abs() < 0.01, "p99 {p99_us} µs, in truth {truth_us} µs");
    // Of the ticks of ten seconds those of the stalled second wait, evenly up to a second: the slowest hundredth of
    // all are the slowest tenth of those.
    assert!((truth_us - 900_000.0).abs() < 50_000.0, "{truth_us} µs");
    assert!(tick.service.quantile(0.99) < 100_000, "{} µs", tick.service.quantile(0.99));
    println!("p99 {p99_us} µs, in truth {truth_us} µs; service {} µs", tick.service.quantile(0.99));
}
