//! A fleet on the emulator, and its runs: from a signed request to what is left of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use loadkit::core::{Collector, Report, RunId, StepIntervals};
use loadkit_aws::DynamoDb;
use loadkit_fleet::{RunRecord, RunState};
use loadkit_worker::{Lease, Phase, get_json, keys};
use serde_json::{Value, json};

use super::{Cloud, Tasks};
use crate::hold;

/// What is deployed to AWS.
pub const TEMPLATE: &str = include_str!("../../../deploy/aws/template.yaml");
/// Targets on this machine are allowed.
pub const POLICY: &str = "[[rules]]\nname = \"this machine\"\nnetworks = [\"loopback\"]\n";
/// A run ends within this time, or its keeper does not.
const LIMIT: Duration = Duration::from_secs(180);

impl Cloud {
    /// A fleet of this template, client and binary of functions on an emulator of its own, with these parameters beside or in place of
    /// those that an emulator needs.
    pub fn deployed(
        packages: &Path,
        tasks: &Tasks,
        (client, fleet): (&str, &str),
        template: &str,
        more: &[(&str, &str)],
    ) -> Cloud {
        let mut cloud = Cloud::start(packages, tasks);
        let zips = (cloud.upload("worker.zip", client.as_ref()), cloud.upload("fleet.zip", fleet.as_ref()));
        println!("zips: client {} bytes, fleet {} bytes", zips.0, zips.1);
        let mut parameters = vec![
            ("WorkerKey", "worker.zip"),
            ("FleetKey", "fleet.zip"),
            ("Policy", POLICY),
            // The emulator is one process, and shares two cores with all workers.
            ("BeatMs", "3000"),
            ("LeaseMs", "60000"),
            ("ReportMs", "4000"),
            ("CollectorSeconds", "10"),
            ("QueueVisibility", "6"),
            ("Image", "arena:test"),
            ("Subnets", "subnet-1"),
        ];
        parameters.retain(|(name, _)| more.iter().all(|(given, _)| given != name));
        parameters.extend(more);
        cloud.deploy(template, &parameters);
        cloud
    }

    /// Launches a run and asks for it until it has ended.
    pub fn play(&self, request: &Value) -> RunRecord {
        let answer = self.ask("POST", "/v1/runs", Some(request)).unwrap();
        assert_eq!(answer.status, 202);
        let launched: RunRecord = serde_json::from_slice(&answer.body).unwrap();
        self.until_ended(launched.id)
    }

    /// Asks for a run until it has ended.
    pub fn until_ended(&self, run: RunId) -> RunRecord {
        let began = Instant::now();
        loop {
            let record = self.record(run);
            assert!(began.elapsed() < LIMIT, "the run does not end: {record:#?}");
            if let Some(record) = record.filter(|record| record.state == RunState::Ended) {
                println!("run {run}: {:?} after {:.1?}", record.ending, began.elapsed());
                let judgement = record.judgement.as_ref();
                println!("  verdict {:?}", judgement.map(|judgement| (judgement.verdict, &judgement.reasons)));
                record.notes.iter().for_each(|note| println!("  note: {}", note.text));
                return record;
            }
            hold(Duration::from_millis(300));
        }
    }

    /// A run's record; none while the emulator, which shares the machine with all players, is too busy to answer in time.
    pub fn record(&self, run: RunId) -> Option<RunRecord> {
        let answer = self.ask("GET", &format!("/v1/runs/{run}"), None).ok()?;
        Some(serde_json::from_slice(&answer.body).unwrap())
    }

    /// A run's report, as the fleet keeps it, and its JSON.
    pub fn report(&self, run: RunId) -> (Report, Value) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["report.json", "histograms.hlog"] {
            let file = self.ask("GET", &format!("/v1/runs/{run}/report/{name}"), None).unwrap();
            std::fs::write(dir.path().join(name), &file.body).unwrap();
        }
        let json = std::fs::read(dir.path().join("report.json")).unwrap();
        (Report::load(dir.path()).unwrap(), serde_json::from_slice(&json).unwrap())
    }

    /// What the fleet has, by its report, is what the workers wrote down themselves: bucket for bucket.
    pub fn has_what_was_recorded(&self, record: &RunRecord, workers: usize) -> Collector {
        let (recorded, files) = self.recorded(&record.id.to_string());
        assert_eq!(files, workers, "each worker wrote down what it recorded");
        is_what_was_recorded(&self.report(record.id).0, &recorded);
        recorded
    }

    /// How each worker lived, by its lease in the table: the kinds of their homes, their names there, and their parcels.
    pub fn leases(&self, run: RunId, workers: u32) -> (BTreeSet<String>, BTreeSet<String>, u32) {
        let table = DynamoDb::new(self.client().clone(), self.output("TableName"));
        let (mut homes, mut names, mut parcels) = (BTreeSet::new(), BTreeSet::new(), 0);
        for worker in 0..workers {
            let lease = self.wait(get_json::<Lease>(&table, &keys::lease(run, worker, 0)));
            let lease = lease.unwrap().unwrap().0;
            assert_eq!(lease.phase, Phase::Ended, "worker {worker}: {lease:?}");
            parcels += lease.end.unwrap().parcels;
            homes.insert(lease.status.home);
            names.insert(lease.status.name);
        }
        (homes, names, parcels)
    }
}

/// A report is what was recorded: bucket for bucket.
fn is_what_was_recorded(report: &Report, recorded: &Collector) {
    let truth = Report::new(report.run.clone(), recorded, report.judgement.clone());
    let totals = recorded.totals();
    assert!(totals.steps.contains_key("login"), "players logged in");
    for failure in &report.failures {
        println!("  {failure:?}");
    }
    let (buckets_of_fleet, buckets_of_workers) = (buckets(&report.intervals.steps), buckets(&truth.intervals.steps));
    assert!(buckets_of_fleet.keys().eq(buckets_of_workers.keys()), "the same steps");
    for (step, recorded) in &buckets_of_workers {
        assert_eq!(&buckets_of_fleet[step], recorded, "{step}, bucket for bucket");
    }
    let written = |report: &Report| -> Value { serde_json::from_str(&json!(report.steps).to_string()).unwrap() };
    assert_eq!(written(report), written(&truth));
    assert_eq!((report.players.started, report.players.finished), (totals.started, totals.finished));
    for (name, step) in &totals.steps {
        println!("  {name}: {} went well, {} failed", step.succeeded(), step.failed());
    }
    println!(
        "  {} players started, {} in buckets",
        totals.started,
        buckets_of_fleet.values().flat_map(BTreeMap::values).sum::<u64>()
    );
}

/// All response times of each step: how many there are in each bucket.
pub fn buckets(steps: &BTreeMap<String, StepIntervals>) -> BTreeMap<String, BTreeMap<u64, u64>> {
    let of = |step: &StepIntervals| {
        let mut all = BTreeMap::new();
        let buckets = step.response.iter().flat_map(|delta| &delta.buckets);
        buckets.for_each(|&(value, count)| *all.entry(value).or_default() += count);
        all
    };
    steps.iter().map(|(name, step)| (name.clone(), of(step))).collect()
}
