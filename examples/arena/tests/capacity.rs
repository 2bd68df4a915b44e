//! The capacity of an arena whose limit is known: found in virtual time, and said by the command over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use arena::serve::Service;
use arena::wire::{FindMatch, FromServer, Login, Move};
use arena::{Options, Rules, Work};
use loadkit::core::capacity::{Capacity, Load, Objective, Observation, Range, Top};
use loadkit::core::{Report, Threshold, Verdict};
use loadkit::sim::{CapacityError, Simulation};
use loadkit::transport::Rudp;
use loadkit::transport::protobuf::Enveloped;
use loadkit::{Bot, Cx, Hz, Plan, Result, Scenario, Seat};
use loadkit_tests::{Child, Output};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(120);

/// So many players it holds, at 500 µs of work each.
fn work(limit: u32) -> Work {
    let per_player = Duration::from_micros(500);
    let work = Work { per_player, budget: per_player * limit };
    assert_eq!(work.capacity(), Some(u64::from(limit)));
    work
}

fn objective(slo: &str, load: Load) -> Objective {
    let slo = Threshold::parse(slo).unwrap();
    Objective::new(vec![slo], load, 5 * SECOND, 3 * SECOND, SECOND).unwrap()
}

/// Players who have played, and move on: a move needs an answer, and nothing else goes on. They cost the server as much as
/// any, and the test little.
struct Strollers;

struct Stroller(Seat);

impl Scenario for Strollers {
    type Bot = Stroller;

    fn bot(&self, seat: Seat) -> Stroller {
        Stroller(seat)
    }
}

impl Bot for Stroller {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Enveloped::<FromServer>::new())).await?;
        cx.step("login", game.call(Login { account: self.0.account() })).await?;
        game.call(FindMatch { party: 0, party_size: 1 }).await?;
        let mut ticks = cx.ticks(Hz(4.0));
        while let Some(tick) = ticks.next().await {
            let order = Move { seq: tick.index as u32 + 1, dx: 1, dy: 1, fire: false };
            cx.step("tick", game.call(order)).await?;
        }
        Ok(())
    }
}

fn find(work: Work, range: Range, objective: &Objective) -> std::result::Result<Capacity, CapacityError> {
    let short = Duration::from_millis(100);
    let rules = Rules { match_time: short, patience: short, ..Rules::default() };
    let options = Options { work, rules, ..Options::default() };
    let serve = move |endpoint| {
        let mut service = Service::new(endpoint, options.clone());
        async move {
            let _ = service.run(std::future::pending()).await;
        }
    };
    Simulation::new(Strollers).server(serve).plan(Plan::default()).seed(7).capacity(range, objective)
}

#[test]
fn the_limit_is_found_within_five_percent_in_at_most_twelve_probes() {
    for (limit, range) in
        [(23, Range { start: 5, max: 90, ..Range::default() }), (60, Range { start: 80, max: 90, ..Range::default() })]
    {
        let found = find(work(limit), range, &objective("p99(tick) < 50ms", Load::Players)).unwrap();
        println!("limit {limit}: {}, {} probes", found.headline(), found.probes.len());
        let (held, missed) = (found.answer.held.unwrap(), found.answer.missed.unwrap());
        assert!(found.probes.len() <= 12 && found.probes.iter().all(|probe| probe.load <= range.max), "{found:?}");
        let limit = f64::from(limit);
        assert!((held as f64 / limit - 1.0).abs() <= 0.05, "{held} held, of {limit}");
        assert!(missed as f64 > limit && missed as f64 <= limit * 1.05 + 1.0, "{missed} missed, of {limit}");
        assert_eq!((found.answer.top, found.verdict), (Top::Server, Verdict::Pass));
        assert!(found.headline().contains("p99(tick) < 50ms was missed"), "{}", found.headline());
    }
}

#[test]
fn what_the_first_probe_does_not_measure_ends_the_search() {
    let objective = objective("p99(tock) < 50ms", Load::Players);
    let error = find(work(100), Range::default(), &objective).unwrap_err().to_string();
    assert!(error.contains("did you mean tick?") && error.contains("there are: tick"), "{error}");
}

fn arena(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    Child::start(command.args(args).current_dir(folder).stdout(Stdio::piped()))
}

/// A server that holds so many players, and where it listens.
fn server(folder: &Path, limit: u32) -> (Child, String) {
    let work = work(limit);
    let [cost, budget] = [work.per_player.as_micros(), work.budget.as_millis()].map(|number| number.to_string());
    let misbehaviour = ["--work-per-player-us", &cost, "--max-ticks-ms", &budget];
    let server = arena(folder, &[&["server", "--listen", "127.0.0.1:0"], &misbehaviour[..]].concat());
    let addr = server.first_line(LIMIT).rsplit(' ').next().unwrap().to_owned();
    (server, addr)
}

fn search(folder: &Path, addr: &str, args: &[&str]) -> Output {
    arena(folder, &[&["capacity", "--target", addr], args].concat()).wait(LIMIT)
}

fn answer(folder: &Path) -> Capacity {
    serde_json::from_slice(&std::fs::read(folder.join("report/capacity.json")).unwrap()).unwrap()
}

#[test]
fn the_command_goes_to_its_safety_limit_and_no_further() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, addr) = server(folder.path(), 40);
    let quick = ["--probe", "2s", "--settle", "0s", "--slo", "p99(tick) < 1s", "--start", "10", "--max", "12"];
    let output = search(folder.path(), &addr, &quick);
    let found = answer(folder.path());
    let loads: Vec<u64> = found.probes.iter().map(|probe| probe.load).collect();
    assert_eq!(output.code, Some(found.verdict.exit_code().into()), "{output:?}");
    assert!(loads.iter().all(|load| *load <= 12), "{loads:?}");
    assert!(output.err.contains("probe 1: 10 players (to begin with), judged from 0:01 to 0:03"), "{}", output.err);
    assert!(output.out.contains("players") && output.out.contains("p99(tick) < 1s"), "{}", output.out);
    let report: Report =
        serde_json::from_slice(&std::fs::read(folder.path().join("report/report.json")).unwrap()).unwrap();
    // A machine that is busy with something else may give an invalid probe, but never a missed one.
    assert!(found.probes.iter().all(|probe| probe.seen != Observation::Missed), "{found:?}");
    if found.verdict == Verdict::Pass {
        assert_eq!((found.answer.held, found.answer.top), (Some(12), Top::SafetyLimit));
        assert_eq!(report.run.plan.peak, 12);
        assert!(output.out.contains("PASS  at least 12 players: that is the safety limit"), "{}", output.out);
    }
    assert!(folder.path().join("report/capacity.svg").is_file() && folder.path().join("report/report.html").is_file());
}

#[test]
fn ctrl_c_ends_it_with_the_answer_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, addr) = server(folder.path(), 40);
    let args = ["--probe", "2s", "--settle", "0s", "--slo", "p99(tick) < 1s"];
    let client = arena(folder.path(), &[&["capacity", "--target", &addr], &args[..]].concat());
    client.says("probe 2: ", LIMIT);
    client.signal("INT");
    let output = client.wait(LIMIT);
    let found = answer(folder.path());
    assert_eq!((output.code, found.probes.len(), found.answer.settled), (Some(3), 1, false), "{output:?}");
    assert!(output.out.contains("the search did not come to its end. So far: "), "{}", output.out);
}

#[test]
fn wrong_use_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    for (args, hint) in [
        (&["--slo", "p99(tick < 1s"][..], "^"),
        (&[], "nothing says what must hold"),
        (&["--slo", "p99(tick) < 1s", "--start", "20", "--max", "10"], "the start (20) is above the safety limit (10)"),
        (&["--slo", "p99(tick) < 1s", "--tolerance", "0%"], "the tolerance is 0%"),
        (&["--slo", "rate(tick) > 5/s"], "easier to hold the more players there are"),
        (&["--slo", "p99(tick) < 1s", "--probe", "1s"], "give it 2s or more"),
        (&["--slo", "p99(tick) < 1s", "--party", "3", "--start", "2"], "less than one party"),
    ] {
        // Port 9 discards; nothing may get that far.
        let output = search(folder.path(), "127.0.0.1:9", args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.err.contains(hint), "{args:?}: {}", output.err);
    }
}

#[test]
fn a_server_that_is_not_there_is_no_capacity_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--probe", "2s", "--settle", "0s", "--slo", "p99(tick) < 1s", "--start", "2", "--no-report"];
    let output = search(folder.path(), "127.0.0.1:9", &args);
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.err.contains("Is the server running"), "{}", output.err);
}

/// By hand: `LOADKIT_CAPACITY=1 cargo test -p arena --test capacity -- --nocapture by_hand`. Takes some ten minutes, and a
/// machine with time for it.
#[test]
fn by_hand_limits_are_found_over_real_sockets() {
    if std::env::var_os("LOADKIT_CAPACITY").is_none() {
        return;
    }
    for limit in [24_u32, 40, 68] {
        let folder = tempfile::tempdir().unwrap();
        let (_server, addr) = server(folder.path(), limit);
        let args = ["--probe", "8s", "--settle", "4s", "--slo", "p99(tick) < 100ms", "--start", "5", "--max", "100"];
        let client = arena(folder.path(), &[&["capacity", "--target", &addr], &args[..]].concat());
        let output = client.wait(Duration::from_secs(900));
        println!("limit {limit}:\n{}\n{}", output.err, output.out);
        let found = answer(folder.path());
        assert!(found.probes.len() <= 12, "{}", output.out);
        let held = found.answer.held.unwrap() as f64;
        assert!((held / f64::from(limit) - 1.0).abs() <= 0.05, "{held} held, of {limit}");
    }
}
