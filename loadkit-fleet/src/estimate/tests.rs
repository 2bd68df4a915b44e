use std::collections::BTreeSet;

use super::*;
use crate::request::{RunRequest, RunnerChoice};
use crate::staff::{Usual, staff};

fn plan(bots: u64, duration: &str) -> Plan {
    Plan::parse(
        &format!("target = \"10.0.0.1:4000\"\nbots = {bots}\nramp = \"1m\"\nduration = \"{duration}\"\n"),
        "plan.toml",
    )
    .unwrap()
}

fn staffed(plan: &Plan, home: Home, workers: Option<u32>) -> Staffing {
    let runner = match home {
        Home::Lambda => RunnerChoice::Lambda,
        Home::Fargate => RunnerChoice::Fargate,
        Home::Local => RunnerChoice::Local,
    };
    let request = RunRequest { runner, workers, ..RunRequest::default() };
    let homes = BTreeSet::from([Home::Lambda, Home::Fargate, Home::Local]);
    staff(plan, &request, &homes, Usual::of, &Terms::default()).unwrap()
}

fn estimate(bots: u64, duration: &str, home: Home, quotas: &Quotas) -> Estimate {
    let plan = plan(bots, duration);
    Estimate::of(&plan, &staffed(&plan, home, None), &Terms::default(), quotas)
}

/// Whoever wants to see them: `cargo test -p loadkit-fleet a_million -- --nocapture`.
#[test]
fn a_million_players_for_an_hour() {
    for home in [Home::Lambda, Home::Fargate] {
        let of = estimate(1_000_000, "1h", home, &Quotas::default());
        println!("{}", serde_json::to_string_pretty(&of).unwrap());
        let (workers, low, high) = match home {
            Home::Lambda => (2_000, 210.0, 270.0),
            _ => (200, 19.0, 25.0),
        };
        assert_eq!(of.workers, workers);
        assert!(of.dollars.low > low && of.dollars.high < high, "{:?}", of.dollars);
        assert!(of.dollars.low < of.dollars.high);
        let sum: f64 = of.dollars.lines.iter().map(|line| line.high).sum();
        assert!((sum - of.dollars.high).abs() < 0.001);
    }
}

#[test]
fn by_hand() {
    // 200 tasks for an hour: 200 x (2 x 0.04048 + 4 x 0.004445) = 19.748.
    let fargate = estimate(1_000_000, "1h", Home::Fargate, &Quotas::default());
    assert!((fargate.dollars.lines[0].low - 19.748).abs() < 1e-9);
    // 100 Lambdas for ten minutes: 100 x 600 x 1769 / 1024 x 0.0000166667, and 100 requests.
    let lambda = estimate(50_000, "10m", Home::Lambda, &Quotas::default());
    assert_eq!((lambda.workers, lambda.generations), (100, 1));
    assert!((lambda.dollars.lines[0].low - 1.7276).abs() < 1e-3, "{:?}", lambda.dollars);
    let local = estimate(50_000, "10m", Home::Local, &Quotas::default());
    assert_eq!((local.workers, local.dollars.high), (20, 0.0));
}

#[test]
fn the_launch_takes_its_time() {
    let launch = |home, workers| launch_s(home, workers, &Quotas::default());
    assert_eq!(launch(Home::Lambda, 1_000), 2.0);
    assert_eq!(launch(Home::Lambda, 1_001), 12.0);
    assert_eq!(launch(Home::Lambda, 3_000), 22.0);
    assert_eq!(launch(Home::Fargate, 100), 45.0);
    assert_eq!(launch(Home::Fargate, 300), 55.0);
    assert_eq!(launch(Home::Local, 8), 1.0);
    let slow = Quotas { starts_per_s: Some(2.0), ..Quotas::default() };
    assert_eq!(launch_s(Home::Fargate, 300, &slow), 145.0);
}

#[test]
fn what_does_not_fit_names_the_quota() {
    let quotas = |workers| Quotas { workers: Some(workers), ..Quotas::default() };
    assert_eq!(estimate(50_000, "10m", Home::Lambda, &quotas(100)).fits(), Ok(()));
    let short = estimate(50_000, "10m", Home::Lambda, &quotas(99)).fits().unwrap_err();
    let text = short.to_string();
    assert!(text.contains("needs 100 of the quota `Lambda: Concurrent executions`, and there are 99"), "{text}");
    assert!(text.contains("Service Quotas"), "{text}");
    // While a generation takes over, both are there.
    assert_eq!(estimate(50_000, "20m", Home::Lambda, &quotas(199)).fits().unwrap_err().need.need, 200);

    let plan = plan(10_000, "5m");
    let fat = Estimate::of(&plan, &staffed(&plan, Home::Lambda, Some(10)), &Terms::default(), &quotas(1_000));
    let short = fat.fits().unwrap_err();
    assert_eq!((short.need.need, short.need.have), (1_124, Some(1_024)));
    let shared = Plan::parse("bots = 10_000\nduration = \"5m\"\nsockets = 4\n", "p").unwrap();
    assert_eq!(
        Estimate::of(&shared, &staffed(&shared, Home::Lambda, Some(10)), &Terms::default(), &quotas(1_000)).fits(),
        Ok(())
    );
}

#[test]
fn warnings_are_about_this_run() {
    let quotas = Quotas { workers: Some(5_000), ..Quotas::default() };
    let small = estimate(500, "5m", Home::Lambda, &quotas);
    assert_eq!(small.warnings.len(), 1, "{:?}", small.warnings);
    let large = estimate(1_000_000, "1h", Home::Lambda, &quotas).warnings.join("\n");
    assert!(large.contains("generations of Lambdas") && large.contains("warm throughput"), "{large}");
    let arrivals = Plan::parse("arrivals = \"100/s\"\nduration = \"1m\"\n", "p").unwrap();
    let arriving =
        Estimate::of(&arrivals, &staffed(&arrivals, Home::Local, Some(2)), &Terms::default(), &Quotas::default());
    assert_eq!(arriving.players, 6_000);
    assert!(arriving.warnings[0].contains("arrive at a rate"));
}
