//! Whole runs of the engine in virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do some of their bots")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadkit_core::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs a scenario in virtual time on `shards` shards; everything it gathered.
fn simulate<S: Scenario>(scenario: S, plan: Plan, shards: u32) -> Collector {
    let mut collector = Collector::new(plan.interval());
    let job = Job { shards, ..Job::whole(RunId(1), plan, Target::default(), Seed(7)) };
    let ended =
        run(&Arc::new(scenario), &job, &(Arc::new(Virtual) as Arc<dyn Host>), &Control::new(), &mut collector).unwrap();
    assert_eq!(ended.shards_lost, 0);
    collector
}

fn plan(stages: Vec<Stage>) -> Plan {
    Plan::builder().stages(stages).build().unwrap()
}

/// A player that thinks, works for a while by its own random numbers, and does so again at 10 Hz.
struct Walker;

impl Bot for Walker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(5));
        while let Some(tick) = ticks.next().await {
            let work = Duration::from_millis(1 + rand::RngExt::random_range(&mut cx.rng(), 0..20));
            cx.step("work", async {
                cx.sleep(work).await;
                if tick.index % 17 == 16 { Err(Error::new("stumbled", format!("at {}", tick.index))) } else { Ok(()) }
            })
            .await
            .ok();
            cx.trend("work_us", work);
            cx.count("walked", 1);
        }
        cx.gauge("seat", cx.seat().index() as f64);
        Ok(())
    }
}

struct Walk;

impl Scenario for Walk {
    type Bot = Walker;

    fn bot(&self, _: Seat) -> Walker {
        Walker
    }
}

#[test]
fn the_population_follows_the_shape_and_seats_are_filled_again() {
    let collector = simulate(Walk, plan(vec![Stage::ramp(40, Duration::from_secs(4)), Stage::hold(MINUTE)]), 1);
    let points: Vec<_> = collector.points().collect();
    assert_eq!(points[1].planned(), 20);
    assert_eq!(points[3].planned(), 40);
    assert!(points[10..60].iter().all(|point| point.planned() == 40 && point.active() >= 38));
    let totals = collector.totals();
    // Each life lasts 5 s of the 62 s that a seat is there for on average.
    assert!((490..=560).contains(&totals.started), "{}", totals.started);
    assert_eq!(totals.finished, totals.started);
    assert_eq!(totals.failed(), 0);
    assert_eq!(totals.steps["work"].failures, [("stumbled".to_owned(), totals.steps["work"].failed())]);
}

#[test]
fn shards_merged_equal_one_bucket_for_bucket() {
    let shape = || plan(vec![Stage::ramp(40, Duration::from_secs(4)), Stage::hold(MINUTE)]);
    let whole = simulate(Walk, shape(), 1);
    for shards in [2, 3, 7] {
        let parts = simulate(Walk, shape(), shards);
        let (whole, parts) = (whole.totals(), parts.totals());
        assert_eq!(parts.steps, whole.steps, "{shards} shards");
        assert_eq!(parts.trends["work_us"], whole.trends["work_us"]);
        assert_eq!(parts.counts["walked"], whole.counts["walked"]);
        assert_eq!((parts.started, parts.finished), (whole.started, whole.finished));
    }
}

#[test]
fn the_same_run_twice_is_the_same() {
    let shape = || plan(vec![Stage::arrivals(Rate::per_second(20).unwrap(), MINUTE).poisson()]);
    let (once, twice) = (simulate(Walk, shape(), 2), simulate(Walk, shape(), 2));
    assert!(once.totals() == twice.totals());
    assert!(once.points().eq(twice.points()));
    assert_eq!(once.totals().started, 1_200);
}

/// Bots that fail in every way there is.
struct Trouble;

struct Troubled(u64);

impl Scenario for Trouble {
    type Bot = Troubled;

    fn bot(&self, seat: Seat) -> Troubled {
        assert!(seat.index() != 3, "no such player");
        Troubled(seat.index())
    }
}

impl Bot for Troubled {
    async fn run(&mut self, cx: &Cx) -> Result {
        match self.0 {
            0 => Err(Error::new("early", "gave up")),
            1 => {
                cx.sleep(Duration::from_millis(5)).await;
                panic!("lost {}", self.0)
            }
            2 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            _ => {
                cx.stopped().await;
                Ok(())
            }
        }
    }
}

#[test]
fn failures_and_panics_are_counted_and_the_rest_plays_on() {
    let collector = simulate(Trouble, plan(vec![Stage::step(6, Duration::from_millis(9_500))]), 2);
    let totals = collector.totals();
    let kinds: Vec<_> = totals.failed.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    // Refilled a second after each failure: at 0 s to 9 s.
    assert_eq!(kinds, [("connection-reset", 10), ("early", 10), ("panic", 20)]);
    assert_eq!((totals.finished, totals.cut_off), (2, 0));
    let panic = totals.samples.iter().find(|sample| sample.kind == "panic" && sample.seat == 1).unwrap();
    assert!(panic.message.contains("engine.rs") && panic.message.ends_with("lost 1"), "{panic:?}");
}

/// Parties of three, one of which misses a member.
struct Club;

struct Member(Seat);

impl Scenario for Club {
    type Bot = Member;

    fn bot(&self, seat: Seat) -> Member {
        Member(seat)
    }
}

static SHARED: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

impl Bot for Member {
    async fn run(&mut self, cx: &Cx) -> Result {
        let seen = cx.party().shared(|| std::cell::Cell::new(0));
        seen.set(seen.get() + 1);
        if self.0.index() != 5 {
            cx.rendezvous("ready", Duration::from_secs(3)).await?;
            SHARED.lock().unwrap().push((self.0.party(), seen.get()));
        }
        cx.stopped().await;
        Ok(())
    }
}

#[test]
fn a_party_meets_whole_or_its_members_fail() {
    let stages = [Stage::ramp(8, Duration::from_secs(2)), Stage::hold(Duration::from_secs(8))];
    let plan = Plan::builder().stages(stages).party(3).refill(None).build().unwrap();
    let collector = simulate(Club, plan, 2);
    assert_eq!(collector.totals().failed, [("rendezvous-unmet".to_owned(), 2)]);
    let mut met = SHARED.lock().unwrap().clone();
    met.sort();
    // The third party has two members only, and they know it.
    assert_eq!(met, [(0, 3), (0, 3), (0, 3), (2, 2), (2, 2)]);
}

/// Never leaves.
struct Stubborn;

impl Scenario for Stubborn {
    type Bot = Stubborn;

    fn bot(&self, _: Seat) -> Stubborn {
        Stubborn
    }
}

impl Bot for Stubborn {
    async fn run(&mut self, _: &Cx) -> Result {
        std::future::pending().await
    }
}

#[test]
fn the_grace_time_ends_those_who_stay() {
    let collector = simulate(Stubborn, plan(vec![Stage::step(5, Duration::from_secs(2))]), 1);
    let totals = collector.totals();
    assert_eq!((totals.started, totals.finished, totals.cut_off), (5, 0, 5));
    assert_eq!(totals.to_us / 1_000_000, 12);
}

/// A player whose server stalls for a second every ten.
struct Stalled;

impl Scenario for Stalled {
    type Bot = Stalled;

    fn bot(&self, _: Seat) -> Stalled {
        Stalled
    }
}

impl Bot for Stalled {
    async fn run(&mut self, cx: &Cx) -> Result {
        let start = tokio::time::Instant::now();
        let mut ticks = cx.ticks(Hz(20.0));
        while ticks.next().await.is_some() {
            cx.step("tick", async {
                let into = start.elapsed().as_millis() % 10_000;
                if into >= 9_000 {
                    cx.sleep(Duration::from_millis(10_000 - into as u64)).await;
                }
                cx.sleep(Duration::from_millis(1)).await;
                Ok::<_, Error>(())
            })
            .await?;
        }
        Ok(())
    }
}

#[test]
fn a_stall_shows_in_response_times_and_hides_in_service_times() {
    let collector = simulate(Stalled, plan(vec![Stage::step(1, Duration::from_secs(600))]), 1);
    let tick = &collector.totals().steps["tick"];
    // Ticks are intended every 50 ms; those intended in the last second of each ten wait for its end. Of 200 ticks
    // 20 wait, evenly from 1 s down to 50 ms. 99 % are at or below the third slowest: 900 ms, 1 ms of work each for it
    // and the two before it.
    let p99 = tick.response.quantile(0.99) as f64 / 1_000.0;
    assert!((p99 - 903.0).abs() < 1.0, "{p99}");
    assert!(tick.service.quantile(0.99) < 3_000, "{}", tick.service.quantile(0.99));
}

/// A tracker of which persona plays which seat.
struct Plays(&'static str);

impl Bot for Plays {
    async fn run(&mut self, cx: &Cx) -> Result {
        assert_eq!(cx.seat().persona(), self.0);
        cx.count(self.0, 1);
        cx.stopped().await;
        Ok(())
    }
}

#[test]
fn a_mix_deals_personas_by_weight_and_to_whole_parties() {
    let mix = || Mix::new("town").persona("casual", 3, |_| Plays("casual")).persona("trader", 1, |_| Plays("trader"));
    let plan = Plan::builder().stages([Stage::step(400, Duration::from_secs(1))]).party(4).build().unwrap();
    let collector = simulate(mix(), plan, 2);
    let totals = collector.totals();
    assert_eq!(totals.failed, []);
    let traders = totals.count("trader");
    assert_eq!((traders + totals.count("casual"), traders % 4), (400, 0));
    assert!(traders.abs_diff(100) <= 8, "{traders}");
}

/// Does not heed that it is asked to leave, and never waits for anything else.
struct Deaf;

impl Bot for Deaf {
    async fn run(&mut self, cx: &Cx) -> Result {
        let mut ticks = cx.ticks(Hz(1_000_000.0));
        loop {
            cx.think(Duration::from_secs(1)).await;
            cx.sleep(Duration::from_millis(5)).await;
            ticks.next().await;
            cx.party();
        }
    }
}

#[test]
fn a_bot_that_loops_on_is_cut_off_and_does_not_hang_its_shard() {
    let scenario = Mix::new("deaf").persona("deaf", 1, |_| Deaf);
    let totals = simulate(scenario, plan(vec![Stage::step(2, Duration::from_secs(3))]), 1).totals().clone();
    assert_eq!((totals.started, totals.cut_off), (2, 2));
    assert_eq!(totals.to_us / 1_000_000, 13);
}

#[test]
fn a_seat_that_leaves_and_joins_at_once_is_played_on_without_a_refill() {
    let second = Duration::from_secs(1);
    let stages = [Stage::spike(20, second), Stage::ramp(40, 4 * second), Stage::hold(second)];
    let plan = Plan::builder().stages(stages).refill(None).build().unwrap();
    let collector = simulate(Slow, plan, 2);
    let points: Vec<_> = collector.points().collect();
    assert_eq!(points[4].active(), points[4].planned(), "{points:?}");
    assert!(collector.totals().started >= 40);
}

/// Stays until it is asked to leave, and then takes its time.
struct Slow;

impl Scenario for Slow {
    type Bot = Slow;

    fn bot(&self, _: Seat) -> Slow {
        Slow
    }
}

impl Bot for Slow {
    async fn run(&mut self, cx: &Cx) -> Result {
        cx.stopped().await;
        cx.sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

/// Two kinds of walkers.
struct Crowd;

impl Scenario for Crowd {
    type Bot = Walker;

    fn bot(&self, _: Seat) -> Walker {
        Walker
    }

    fn personas(&self) -> std::result::Result<Weights, WeightsError> {
        Weights::new([("slow", 1.0), ("fast", 3.0)])
    }
}

#[test]
fn figures_split_by_persona_add_up_to_the_whole() {
    let stages = [Stage::ramp(40, Duration::from_secs(4)), Stage::hold(MINUTE)];
    let split = simulate(Crowd, Plan::builder().stages(stages).split(Split::Persona).build().unwrap(), 2);
    let whole = simulate(Crowd, plan(stages.to_vec()), 2);
    let (split, whole) = (split.totals(), whole.totals());
    let [slow, fast] = ["slow", "fast"].map(|name| format!("work{{persona={name}}}"));
    let (work, slow, fast) = (&split.steps["work"], &split.steps[&slow], &split.steps[&fast]);
    assert_eq!(Some(work), whole.steps.get("work"));
    assert_eq!(slow.succeeded() + fast.succeeded(), work.succeeded());
    assert_eq!(slow.failed() + fast.failed(), work.failed());
    let share = fast.succeeded() as f64 / work.succeeded() as f64;
    assert!((0.7..0.8).contains(&share), "{share}");
    let parts = ["walked{persona=slow}", "walked{persona=fast}"].map(|name| split.count(name));
    assert!(parts.iter().all(|part| *part > 0));
    assert_eq!(parts.iter().sum::<u64>(), split.count("walked"));
    assert_eq!(split.trends["work_us{persona=slow}"].values.count(), slow.succeeded() + slow.failed());
    assert!(whole.steps.keys().all(|name| !name.contains('{')));
    assert_eq!(split.whole_steps().count(), 1);
}

/// What its scenario did, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Scenario for Told {
    type Bot = Walker;

    fn bot(&self, _: Seat) -> Walker {
        self.0.lock().unwrap().push("player");
        Walker
    }

    async fn setup(&self, _: &RunInfo) -> Result {
        self.0.lock().unwrap().push("setup");
        Ok(())
    }

    async fn teardown(&self, _: &RunInfo) -> Result {
        self.0.lock().unwrap().push("teardown");
        Ok(())
    }
}

#[test]
fn players_wait_for_a_start_that_comes_after_the_setup() {
    let played = |window: Option<Window>| {
        let told = Told::default();
        let job = Job {
            shards: 1,
            ..Job::whole(
                RunId(1),
                Plan::builder().bots(1).duration(MINUTE).build().unwrap(),
                Target::default(),
                Seed(7),
            )
        };
        let mut collector = Collector::new(job.plan.interval());
        let host: Arc<dyn Host> = Arc::new(Virtual);
        let ended = run_when(&Arc::new(told.clone()), &job, &host, &Control::new(), &mut collector, &mut || {
            told.0.lock().unwrap().push("start");
            window
        });
        (ended.is_ok(), told.0.lock().unwrap().clone(), collector.totals().to_us)
    };
    let (from, until) = (Duration::from_secs(57), None);
    let late = Window { from, until, ..Window::default() };
    assert_eq!(played(Some(late)), (true, vec!["setup", "start", "player", "teardown"], 60_000_000));
    // Called off.
    assert_eq!(played(None), (true, vec!["setup", "start", "teardown"], 0));
    // A window without time in it is no start, and there is nobody to wait for.
    let none = Window { from: MINUTE, ..late };
    assert_eq!(played(Some(none)), (false, vec!["setup", "start", "teardown"], 0));
}

/// A machine whose kernel throws ten datagrams away between two looks at it.
#[derive(Default)]
struct Leaky(std::sync::atomic::AtomicU64);

impl Host for Leaky {
    fn timer(&self) -> Box<dyn WakeTimer> {
        Virtual.timer()
    }

    fn usage(&self) -> Option<Usage> {
        let datagrams_dropped = self.0.fetch_add(10, std::sync::atomic::Ordering::SeqCst);
        Some(Usage { machine: Some(MachineUsage { datagrams_dropped, ..MachineUsage::default() }), ..Usage::default() })
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

#[test]
fn what_a_machine_threw_away_is_counted_by_one_of_its_workers() {
    let dropped = |watches_machine| {
        let plan = Plan::builder().bots(1).duration(MINUTE).build().unwrap();
        let job = Job { shards: 1, watches_machine, ..Job::whole(RunId(1), plan, Target::default(), Seed(7)) };
        let mut collector = Collector::new(job.plan.interval());
        let host: Arc<dyn Host> = Arc::new(Leaky::default());
        run(&Arc::new(Walk), &job, &host, &Control::new(), &mut collector).unwrap();
        collector.totals().count(names::KERNEL_DROPS)
    };
    assert!(dropped(true) >= 500, "{}", dropped(true));
    assert_eq!(dropped(false), 0);
}
