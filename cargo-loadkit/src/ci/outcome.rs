//! What came of it: as an object, as words, and as files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use loadkit_core::gate::{Compared, Decision, gate_summary};
use loadkit_core::{Report, Verdict, summary};
use serde::Serialize;
use serde_json::Value;

use super::advice;
use super::order::Order;
use super::server::Start;
use crate::exit::Failure;

/// The files of the report that a pipeline keeps or shows. They are removed before a run, so that none of an earlier one is
/// taken for its own.
const FILES: [&str; 5] = ["report.json", "report.html", "report.md", "junit.xml", "gate.txt"];

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// Why it is no pass, the worst first.
    pub(super) reasons: Vec<String>,
    /// Figures that have become worse.
    pub(super) regressions: Vec<Compared>,
    /// How the build before was met: `both-at-once`, `stored` or `none`.
    pub(super) compared: &'static str,
    /// Stored reports that it was compared with.
    pub(super) baselines: Vec<PathBuf>,
    /// Where this run was kept as a baseline, if it was.
    pub(super) kept: Option<PathBuf>,
    pub(super) build: Option<String>,
    pub(super) client: PathBuf,
    pub(super) packaged: Option<Value>,
    pub(super) servers: Vec<Started>,
    /// How often was played: more than once where the load generator was sick, or the gate had too little data.
    pub(super) attempts: u64,
    pub(super) report: PathBuf,
    pub(super) files: Vec<PathBuf>,
    /// What is to be known though it changes nothing.
    pub(super) notes: Vec<String>,
}

/// A server that was started.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    name: &'static str,
    command: String,
    target: String,
    log: PathBuf,
    /// How long it took until it was ready, seconds.
    ready_s: f64,
}

impl Started {
    pub(super) fn new(start: &Start, ready_s: f64) -> Started {
        let Start { name, command, address, log, .. } = start;
        Started { name, command: command.clone(), target: address.target(), log: log.clone(), ready_s }
    }
}

/// Makes the folder of the report, without what an earlier run has left there.
pub(super) fn clear(folder: &Path) -> Result<(), Failure> {
    let gone = |file: &str| match fs::remove_file(folder.join(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let done = fs::create_dir_all(folder).and_then(|()| FILES.iter().try_for_each(|file| gone(file)));
    done.map_err(|error| {
        Failure::missing(format!("the report cannot be written into {}: {error}", folder.display()))
            .mended_by("make it writable, or name another: --set report=FOLDER")
    })
}

impl Outcome {
    /// Takes what the report says, and writes what the gate says beside it.
    pub(super) fn take(&mut self, report: &Report) -> Result<(), Failure> {
        let worse = |one: &&Compared| one.decision == Decision::Worse;
        self.verdict = report.judgement.verdict;
        self.reasons = report.judgement.reasons.iter().map(|reason| reason.text.clone()).collect();
        self.regressions = report.gate.iter().flat_map(|gate| &gate.figures).filter(worse).cloned().collect();
        if let Some(gate) = &report.gate {
            let path = self.report.join("gate.txt");
            fs::write(&path, gate_summary(gate))
                .map_err(|error| Failure::missing(format!("{} cannot be written: {error}", path.display())))?;
        }
        let advice = |gate| advice::of(gate, report.run.plan.duration_s);
        self.notes.extend(report.gate.as_ref().and_then(advice));
        let there = FILES.iter().map(|file| self.report.join(file)).filter(|path| path.is_file());
        self.files = there.collect();
        Ok(())
    }

    /// The words.
    pub(super) fn words(&self, report: &Report) -> String {
        let page = self.report.join("report.html").display().to_string();
        let mut text = summary(report, Some(&page));
        if let Some(gate) = &report.gate {
            text += &format!("\nThe build before\n{}", gate_summary(gate));
        }
        let logs = self.servers.iter().map(|server| ("Log", server.log.display().to_string()));
        let kept = self.kept.iter().map(|path| ("Kept", format!("as a baseline: {}", path.display())));
        let notes = self.notes.iter().map(|note| ("Note", note.clone()));
        text.push('\n');
        for (word, line) in logs.chain(kept).chain(notes) {
            text += &format!("{word:<10}{line}\n");
        }
        text
    }

    /// Before anything has been played.
    pub(super) fn new(order: &Order, client: PathBuf, packaged: Option<Value>) -> Outcome {
        Outcome {
            verdict: Verdict::Invalid,
            reasons: Vec::new(),
            regressions: Vec::new(),
            compared: "none",
            baselines: Vec::new(),
            kept: None,
            build: order.build.clone(),
            client,
            packaged,
            servers: Vec::new(),
            attempts: 0,
            report: order.report.clone(),
            files: Vec::new(),
            notes: Vec::new(),
        }
    }
}
