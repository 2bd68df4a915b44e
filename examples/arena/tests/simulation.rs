//! Whole runs in virtual time: the server and its players on one thread, over memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arena::serve::Service;
use arena::wire::{FindMatch, FromServer, Login, Move};
use arena::{Arena, Comparison, Counts, Options, Rules, Stall};
use loadkit::core::network::Profile;
use loadkit::core::{Report, Split, Totals};
use loadkit::sim::{Outcome, Simulation};
use loadkit::transport::Rudp;
use loadkit::transport::protobuf::Enveloped;
use loadkit::{Bot, Cx, Hz, Plan, Result, Scenario, Seat};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

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
    let (outcome, counts) = simulate(scenario, options, plan);
    (outcome.totals, counts)
}

fn simulate<S: Scenario>(scenario: S, options: Options, plan: Plan) -> (Outcome, Counts) {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let theirs = counts.clone();
    let serve = move |endpoint| {
        let mut told = Told { service: Service::new(endpoint, options.clone()), counts: theirs.clone() };
        async move {
            let _ = told.service.run(std::future::pending()).await;
        }
    };
    let outcome = Simulation::new(scenario).server(serve).plan(plan).seed(7).run().unwrap();
    let counts = *counts.lock().unwrap();
    (outcome, counts)
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

/// Sixty players, all on this network, for as long as its losses take to settle.
fn over(profile: &Profile, duration: Duration) -> (Report, Counts) {
    let plan = Plan::builder().bots(60).ramp(5 * SECOND).duration(duration).party(3).network(profile.clone(), 1.0);
    let (outcome, counts) = simulate(Arena, Options::default(), plan.build().unwrap());
    let report = outcome.report;
    assert_eq!(report.players.by_network, [(profile.name().to_owned(), report.players.started)].into());

    let rtt = report.connections.trends["net.rtt"].mean / 1e6;
    let expected = profile.mean_round_trip().as_secs_f64();
    println!("{}: round trip {rtt:.4} s, by the profile {expected:.4} s", profile.name());
    assert!((rtt / expected - 1.0).abs() < 0.05, "round trip {rtt} s, by the profile {expected} s");

    let count = |name: &str| report.connections.counts.get(name).map_or(0.0, |count| count.total as f64);
    // In an outage all is lost, and that is not of the profile's share.
    let on_the_air = count("net.conditions.sent") - count("net.conditions.outage_drops");
    let lost = count("net.conditions.lost") / on_the_air;
    let expected = profile.up().loss_rate();
    println!("lost {lost:.5} of {on_the_air}, by the profile {expected:.5}");
    assert!((lost / expected - 1.0).abs() < 0.05, "lost {lost}, by the profile {expected}");
    // What is missing between the two ends is what the network says it took.
    let taken = count("net.conditions.lost") + count("net.conditions.outage_drops");
    let sent_down = count("net.conditions.sent") - count("net.packets_sent");
    let missing_down = sent_down - count("net.packets_received");
    assert!(missing_down > 0.3 * taken && missing_down < taken, "{missing_down} of {taken} down");
    (report, counts)
}

#[test]
fn over_lte_round_trips_and_losses_are_those_of_the_profile() {
    let (report, counts) = over(&Profile::lte(), 120 * SECOND);
    assert_eq!(report.players.failed, 0, "{:?}", report.failures);
    // What is lost is sent again: nobody notices but by the clock.
    let moves = report.steps["tick"].succeeded;
    assert_eq!((counts.moves, counts.malformed), (moves, 0));
    let tick = report.steps["tick"].service.unwrap();
    assert!((45_000..60_000).contains(&tick.p50_us), "{tick:?}");
}

#[test]
fn over_3g_in_a_train_they_are_too_and_some_players_give_up() {
    let (report, counts) = over(&Profile::train_3g(), 60 * SECOND);
    let players = &report.players;
    // Who gets no answer for two seconds has lost the server.
    assert!(players.error_share > 0.02 && players.error_share < 0.5, "{players:?}");
    assert!(players.failed_by_kind.keys().all(|kind| kind == "timed-out"), "{players:?}");
    assert_eq!(counts.malformed, 0);
}

#[test]
fn figures_can_be_told_apart_by_network() {
    let plan = Plan::builder().bots(20).duration(20 * SECOND).split(Split::Network);
    let plan = plan.network(Profile::lte(), 1.0).network(Profile::perfect(), 1.0).build().unwrap();
    let (outcome, _) = simulate(Arena, Options::default(), plan);
    let mean = |network: &str| outcome.totals.trends[&format!("net.rtt{{network={network}}}")].values.mean() / 1e3;
    assert!((45.0..60.0).contains(&mean("lte")) && mean("perfect") < 2.0, "{} {} ms", mean("lte"), mean("perfect"));
    assert!(outcome.totals.count("net.conditions.sent{network=lte}") > 1_000);
    assert_eq!(outcome.totals.count("net.conditions.sent{network=perfect}"), 0);
}

#[test]
fn each_network_has_its_share_of_the_players_on_however_many_shards() {
    let networks = |shards| {
        let plan = Plan::builder().bots(200).duration(SECOND).refill(None);
        let plan = plan.network(Profile::lte(), 0.3).network(Profile::perfect(), 0.7).build().unwrap();
        let seats: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
        let simulation = Simulation::new(Networked(seats.clone())).plan(plan).seed(3).shards(shards);
        let report = simulation.run().unwrap().report;
        assert_eq!(report.run.plan.networks[0].name, "lte");
        let mut seats = std::mem::take(&mut *seats.lock().unwrap());
        seats.sort();
        (report.players.by_network, seats)
    };
    let (by_network, seats) = networks(1);
    assert!((58..=62).contains(&by_network["lte"]) && by_network.values().sum::<u64>() == 200, "{by_network:?}");
    for shards in [2, 3] {
        assert_eq!(networks(shards), (by_network.clone(), seats.clone()));
    }
}

/// Players who only note which network they are on.
struct Networked(Arc<Mutex<Vec<(u64, String)>>>);

struct Onlooker(Seat, Arc<Mutex<Vec<(u64, String)>>>);

impl Scenario for Networked {
    type Bot = Onlooker;

    fn bot(&self, seat: Seat) -> Onlooker {
        Onlooker(seat, self.0.clone())
    }
}

impl Bot for Onlooker {
    async fn run(&mut self, cx: &Cx) -> Result {
        self.1.lock().unwrap().push((self.0.index(), cx.network().unwrap_or("none").to_owned()));
        cx.stopped().await;
        Ok(())
    }
}
