//! Reports of earlier runs: which there are, and which are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use loadkit_core::Report;

use crate::exit::Failure;

/// So many are kept, and compared with: four show how a machine differs from run to run.
const MOST: usize = 8;
/// What the gate needs of a report.
const FILES: [&str; 2] = ["report.json", "histograms.hlog"];

/// A folder of reports, or a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Baselines {
    /// Where they are.
    pub(super) folder: PathBuf,
    /// The latest of them, the earliest first.
    pub(super) reports: Vec<PathBuf>,
    /// Whether the folder is itself a report, to which none can be added.
    is_one: bool,
}

impl Baselines {
    /// Those in a folder. That there is none is no fault: then there is no build before.
    pub(super) fn find(folder: &Path) -> Result<Baselines, Failure> {
        let unread = |error: &dyn std::fmt::Display| {
            Failure::wrong_use(format!("the baselines in {} cannot be read: {error}", folder.display()))
        };
        let is_report = |folder: &Path| FILES.iter().all(|file| folder.join(file).is_file());
        if is_report(folder) {
            return Ok(Baselines { folder: folder.to_owned(), reports: vec![folder.to_owned()], is_one: true });
        }
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(|error| unread(&error))?,
        };
        let mut reports: Vec<PathBuf> =
            entries.into_iter().map(|entry| entry.path()).filter(|path| is_report(path)).collect();
        reports.sort();
        reports.drain(..reports.len().saturating_sub(MOST));
        Ok(Baselines { folder: folder.to_owned(), reports, is_one: false })
    }

    /// Keeps a report among them, and drops the earliest where they are too many; where it is now.
    pub(super) fn keep(&self, from: &Path, report: &Report) -> Result<PathBuf, Failure> {
        if self.is_one {
            return Err(Failure::wrong_use(format!(
                "{} is a report: no other can be kept beside it",
                self.folder.display()
            ))
            .mended_by("name a folder for several: --set baseline=FOLDER"));
        }
        // Names in the order of time.
        let name = format!("{:012}-{}", report.run.started_at_unix_s, report.run.id);
        let (at, part) = (self.folder.join(&name), self.folder.join(format!(".{name}.part")));
        let copy = || {
            fs::create_dir_all(&part)?;
            FILES.iter().try_for_each(|file| fs::copy(from.join(file), part.join(file)).map(drop))?;
            fs::rename(&part, &at)?;
            let surplus = (self.reports.len() + 1).saturating_sub(MOST);
            self.reports.iter().take(surplus).try_for_each(fs::remove_dir_all)
        };
        copy().map_err(|error| {
            Failure::missing(format!("the run cannot be kept as a baseline in {}: {error}", self.folder.display()))
        })?;
        Ok(at)
    }
}
