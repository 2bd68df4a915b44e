//! How a run ended, for people and for programs.

use std::path::{Path, PathBuf};

use loadkit_core::{Judgement, Report, RunId, Verdict, format, summary};
use loadkit_fleet::{Ending, Home, Note, RunRecord, RunState};
use serde::Serialize;

use super::client::FleetClient;
use crate::exit::Exit;

/// Notes that are shown.
const MAX_NOTES: usize = 5;

/// How a run stands.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    run: RunId,
    fleet: String,
    scenario: String,
    target: String,
    build: String,
    home: Home,
    workers: u32,
    state: RunState,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judgement: Option<Judgement>,
    workers_lost: u32,
    parcels_missing: u64,
    notes: Vec<Note>,
    /// Where its report is.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<PathBuf>,
    /// The code with which the command ends.
    exit: u8,
}

/// The code for a run that has ended.
pub(crate) fn exit_of(record: &RunRecord) -> Exit {
    match record.judgement.as_ref().map(|judgement| judgement.verdict) {
        Some(Verdict::Pass) => Exit::Done,
        Some(Verdict::Fail) => Exit::Failed,
        Some(Verdict::Invalid) | None => Exit::Invalid,
    }
}

impl Outcome {
    pub(crate) fn new(record: &RunRecord, client: &FleetClient, report: Option<&Path>, exit: Exit) -> Outcome {
        Outcome {
            run: record.id,
            fleet: client.url().to_owned(),
            scenario: record.scenario.clone(),
            target: record.target.clone(),
            build: record.request.build.clone(),
            home: record.home,
            workers: record.workers,
            state: record.state,
            ending: record.ending,
            judgement: record.judgement.clone(),
            workers_lost: record.workers_lost,
            parcels_missing: record.parcels_missing,
            notes: record.notes.clone(),
            report: report.map(Path::to_owned),
            exit: exit.code(),
        }
    }

    /// In words: the summary of its report, where there is one.
    pub(crate) fn words(&self, report: Option<&Report>) -> String {
        let place = self.report.as_ref().map(|folder| folder.join("report.html").display().to_string());
        if let Some(report) = report {
            return format!("{}{}", summary(report, place.as_deref()), self.missing());
        }
        let mut text = match (&self.judgement, self.ending) {
            (Some(judgement), _) => format!("{}: {}\n", judgement.verdict.name(), judgement.headline()),
            (None, Some(_)) => format!("INVALID: the run {} never began\n", self.run),
            (None, None) => format!("the run {} is {}\n", self.run, state(self.state)),
        };
        text += &format!("  {} against {}, {} on {}\n", self.scenario, self.target, self.workers(), self.home);
        let left_out = self.notes.len().saturating_sub(MAX_NOTES);
        for note in self.notes.iter().skip(left_out) {
            text += &format!("  {}  {}\n", format::moment(note.at_ms / 1_000), note.text);
        }
        text + &self.missing()
    }

    fn workers(&self) -> String {
        format::counted(u64::from(self.workers), "worker", "workers")
    }

    /// What a reader of the figures must know.
    fn missing(&self) -> String {
        if self.ending != Some(Ending::Partial) {
            return String::new();
        }
        let (lost, parcels) = (self.workers_lost, self.parcels_missing);
        format!("The figures are not whole: {lost} of {} lost, {parcels} parcels missing\n", self.workers())
    }
}

fn state(state: RunState) -> &'static str {
    match state {
        RunState::Assembling => "assembling",
        RunState::Running => "playing",
        RunState::Draining => "draining",
        RunState::Ended => "ended",
    }
}
