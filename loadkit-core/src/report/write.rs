//! A report on disk: each file whole or not at all, and one clear error when it cannot be.

use std::fmt;
use std::fs::{self, File};
#[cfg(feature = "html")]
use std::io::Read as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{REPORT_JSON, Report};
use crate::flight::{self, Artifact, FOLDER, FlightRun};

/// So much is written to see whether there is room. A report of a short run takes about this.
const PROBE_BYTES: usize = 256 << 10;

/// So much is read of an earlier page, to see which charts it shows.
#[cfg(feature = "html")]
const MAX_PAGE_BYTES: u64 = 16 << 20;

/// Why a report could not be written: the path and the system's reason. Nothing that was there before is lost.
#[derive(Debug)]
pub struct ReportError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl ReportError {
    fn at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> ReportError + use<> {
        let path = path.to_path_buf();
        move |source| ReportError { path, what, source }
    }

    /// The file or directory at fault.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or write it elsewhere",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "something there is no directory: write it elsewhere"
            }
            _ => "make it writable, or write it elsewhere",
        };
        write!(f, "the report's {} {} cannot be written: {}: {advice}", self.what, self.path.display(), self.source)
    }
}

impl std::error::Error for ReportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Makes the directory for a report and sees whether files can be written there, and have room.
///
/// For before the start: it is a pity to find out at the end.
///
/// # Errors
/// If it cannot be made, or a file in it cannot be written.
pub fn check_writable(dir: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(ReportError::at(dir, "directory"))?;
    let probe = dir.join(".report.probe");
    let written = write_through(&probe, &vec![b' '; PROBE_BYTES]);
    let removed = fs::remove_file(&probe);
    written.and(removed).map_err(ReportError::at(dir, "directory"))
}

/// Writes a report into a directory, which is made if it is not there: `report.json`, `steps.csv`, `series.csv` and
/// `report.md`; with the feature `archive` also `histograms.hlog` and `junit.xml`, and with the feature `html` also
/// `report.html` with its style sheet and charts.
///
/// Recorded flights go into its folder `flights`, in the place of those of an earlier report. `report.json` comes first,
/// so that it is there if there is no room for the rest. Charts of an earlier page that the new one does not have are
/// removed in the end; whatever else there is stays.
///
/// # Errors
/// At the first file that cannot be written. Each file is whole or as it was before.
pub fn write_report(dir: &Path, report: &Report) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(ReportError::at(dir, "directory"))?;
    write_json(&dir.join(REPORT_JSON), report)?;
    write_flights(dir, report)?;
    write_with(&dir.join("steps.csv"), || super::tables::steps(report))?;
    write_with(&dir.join("series.csv"), || super::tables::series(report))?;
    write_with(&dir.join("report.md"), || Ok(super::markdown::write(report).into_bytes()))?;
    #[cfg(feature = "archive")]
    {
        write_with(&dir.join(super::HISTOGRAMS_HLOG), || super::hlog::of_report(report))?;
        write_with(&dir.join("junit.xml"), || super::junit::write(report).map(String::into_bytes))?;
    }
    #[cfg(feature = "html")]
    write_page(dir, report)?;
    Ok(())
}

/// Writes the page and its charts, and removes the charts that only the page before showed.
#[cfg(feature = "html")]
fn write_page(dir: &Path, report: &Report) -> Result<(), ReportError> {
    let mut stale = shown_before(dir);
    for (name, text) in super::html::files(report) {
        stale.retain(|old| *old != name);
        write_with(&dir.join(name), || Ok(text.into_bytes()))?;
    }
    for name in stale {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ReportError::at(&path, "earlier chart")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The charts that the page in this directory shows, if it is one of ours. Files that are named as charts and that no page of
/// ours shows are somebody else's.
#[cfg(feature = "html")]
fn shown_before(dir: &Path) -> Vec<String> {
    let mut page = String::new();
    let read = File::open(dir.join("report.html")).and_then(|file| file.take(MAX_PAGE_BYTES).read_to_string(&mut page));
    if read.is_err() || !page.contains("Made by loadkit ") {
        return Vec::new();
    }
    let shown = page.split("<img src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    shown.filter(|name| super::charts::is_file_name(name)).map(str::to_owned).collect()
}

/// Writes the report as JSON to this file.
///
/// # Errors
/// If the file cannot be written. It is whole or as it was before.
pub fn write_json(path: &Path, report: &Report) -> Result<(), ReportError> {
    let json = serde_json::to_vec_pretty(report).map_err(io::Error::from);
    let mut json = json.map_err(ReportError::at(path, "file"))?;
    json.push(b'\n');
    replace(path, &json).map_err(ReportError::at(path, "file"))
}

pub(crate) fn write_with(path: &Path, text: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<(), ReportError> {
    text().and_then(|text| replace(path, &text)).map_err(ReportError::at(path, "file"))
}

/// Writes the flights of a report, and removes those of an earlier one.
fn write_flights(dir: &Path, report: &Report) -> Result<(), ReportError> {
    let folder = dir.join(FOLDER);
    for old in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if old.file_name().to_str().is_some_and(flight::is_file_name) {
            fs::remove_file(old.path()).map_err(ReportError::at(&old.path(), "file"))?;
        }
    }
    let run = FlightRun::from(&report.run);
    for entry in &report.flights {
        let Some(flight) = &entry.flight else { continue };
        fs::create_dir_all(&folder).map_err(ReportError::at(&folder, "directory"))?;
        let artifact = Artifact::new(run.clone(), (**flight).clone());
        write_with(&dir.join(&entry.file), || Ok(serde_json::to_vec_pretty(&artifact)?))?;
    }
    Ok(())
}

/// Writes beside the file and then takes its place, which on one file system is one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let written = write_through(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Writes a file and waits until it is on the disk: some file systems say only then that they are full.
fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("deep/report");
        check_writable(&at).unwrap();
        write_report(&at, &made_up()).unwrap();
        let json = fs::read(at.join("report.json")).unwrap();
        let (read, written) = (serde_json::from_slice::<Report>(&json).unwrap(), made_up());
        assert_eq!((read.run, read.judgement.reasons), (written.run, written.judgement.reasons));
        assert_eq!(read.steps["move"].response.map(|t| t.p99_us), written.steps["move"].response.map(|t| t.p99_us));
        assert_eq!((read.series.points.len(), read.failures), (written.series.points.len(), written.failures));
        let left = fs::read_dir(&at).unwrap().filter(|file| {
            let name = file.as_ref().unwrap().file_name().into_string().unwrap();
            name.ends_with(".part") || name.ends_with(".probe")
        });
        assert_eq!(left.count(), 0, "nothing temporary stays");
    }

    #[test]
    #[cfg(feature = "html")]
    fn charts_of_an_earlier_page_go_and_nothing_else() {
        use super::super::tests::passing;

        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut earlier = made_up();
        let login = earlier.steps["login"].clone();
        earlier.steps.insert("old step".into(), login);
        for point in &mut earlier.series.points {
            let login = point.steps.get("login").cloned();
            point.steps.extend(login.map(|step| ("old step".to_owned(), step)));
        }
        write_report(dir.path(), &earlier).unwrap();
        assert!(at("percentiles-old-step.svg").is_file());
        let theirs = ["percentiles-of-mine.svg", "logo.svg", "notes.txt", "capacity.svg"];
        theirs.iter().for_each(|name| fs::write(at(name), "mine").unwrap());
        // Whoever changes a page can have it name anything.
        let page = fs::read_to_string(at("report.html")).unwrap();
        let more = "<img src=\"../victim.svg\"><img src=\"logo.svg\"><img src=\"notes.txt\"><img src=\"rate.svg/..\">";
        fs::write(at("report.html"), page + more).unwrap();

        write_report(dir.path(), &passing()).unwrap();
        assert!(!at("percentiles-old-step.svg").exists());
        theirs.iter().for_each(|name| assert_eq!(fs::read(at(name)).unwrap(), b"mine", "{name}"));
        let page = fs::read_to_string(at("report.html")).unwrap();
        for shown in page.split("<img src=\"").skip(1) {
            assert!(at(shown.split('"').next().unwrap()).is_file(), "{shown}");
        }

        fs::write(at("report.html"), "<img src=\"rate.svg\"> my own page").unwrap();
        assert_eq!(shown_before(dir.path()), [""; 0]);
    }

    #[test]
    fn an_error_names_the_path_and_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        fs::write(&file, "mine").unwrap();
        for error in [check_writable(&file).unwrap_err(), write_report(&file, &made_up()).unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("taken") && text.contains("no directory"), "{text}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_noticed_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("report.json.part")).unwrap();
        let text = write_json(&path, &made_up()).unwrap_err().to_string();
        assert!(text.contains("report.json") && text.contains("free some space"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
