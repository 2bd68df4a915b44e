//! `report directory -> Report`: what an earlier run has left.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Report;
#[cfg(feature = "archive")]
use super::hlog;
use super::{REPORT_JSON, SCHEMA};

/// A file that is larger is not read: ten times what the largest report takes.
const MAX_BYTES: u64 = 1 << 29;
/// What stands before the version in a report's schema.
const SCHEMA_NAME: &str = "loadkit.report/";

/// Why a stored report could not be read: which file, what is wrong with it, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no report at this place.
    Missing(PathBuf),
    /// The system does not give the file.
    Unreadable(PathBuf, io::Error),
    /// The file is larger than any report.
    TooLarge(PathBuf),
    /// The file is something else: what, in words.
    NotAReport(PathBuf, String),
    /// The file ends before its end: it was not copied whole.
    CutShort(PathBuf),
    /// The report was written by a newer version of loadkit: its schema.
    Newer(PathBuf, String),
    /// The file says that it is a report, and is not as one must be: what is wrong.
    Damaged(PathBuf, String),
    /// `report.json` and `histograms.hlog` are of different runs: of which.
    Mixed(PathBuf, [String; 2]),
}

impl LoadError {
    /// The file or directory at fault.
    pub fn path(&self) -> &Path {
        match self {
            LoadError::Missing(path)
            | LoadError::Unreadable(path, _)
            | LoadError::TooLarge(path)
            | LoadError::NotAReport(path, _)
            | LoadError::CutShort(path)
            | LoadError::Newer(path, _)
            | LoadError::Damaged(path, _)
            | LoadError::Mixed(path, _) => path,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            LoadError::Missing(_) => {
                write!(
                    f,
                    "{path}: there is no report; give the directory that a run left with --report, or its {REPORT_JSON}"
                )
            }
            LoadError::Unreadable(_, error) => write!(f, "{path}: the report cannot be read: {error}"),
            LoadError::TooLarge(_) => {
                write!(f, "{path}: the file is larger than {} MiB, which no report is", MAX_BYTES >> 20)
            }
            LoadError::NotAReport(_, why) => {
                write!(f, "{path}: this is not a report: {why}; give the {REPORT_JSON} of a run, or its directory")
            }
            LoadError::CutShort(_) => {
                write!(f, "{path}: the report is cut short; copy the files of the run again, whole")
            }
            LoadError::Newer(_, schema) => write!(
                f,
                "{path}: the report has the schema {schema:?}, and this version of loadkit reads {SCHEMA:?}: read it with \
                 the version that wrote it, or a newer one"
            ),
            LoadError::Damaged(_, why) => {
                write!(f, "{path}: the report is damaged: {why}; copy the files of the run again")
            }
            LoadError::Mixed(_, [report, log]) => write!(
                f,
                "{path}: these are the histograms of the run {log}, and {REPORT_JSON} is of the run {report}: copy the files \
                 of one run"
            ),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Unreadable(_, error) => Some(error),
            _ => None,
        }
    }
}

/// What all versions have.
#[derive(Deserialize)]
struct AnyVersion {
    schema: String,
}

impl Report {
    /// Reads what a run has left, from its directory or its `report.json`. With the feature `archive`, the histograms beside
    /// it are read too; without it, or where they are not there, [`Report::intervals`] is empty.
    ///
    /// # Errors
    /// If there is no report, or it is of a newer version, cut short, damaged or something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Report, LoadError> {
        let path = path.as_ref();
        let file = if path.is_dir() { path.join(REPORT_JSON) } else { path.to_path_buf() };
        let text = read(&file)?.ok_or_else(|| LoadError::Missing(path.to_path_buf()))?;
        let report = parse(&file, &text)?;
        #[cfg(feature = "archive")]
        let report = with_intervals(report, &file)?;
        Ok(report)
    }

    /// Reads the text of a `report.json`, without the histograms beside it.
    ///
    /// # Errors
    /// As of [`Report::load`]; the path in them is `report.json`.
    pub fn parse(json: &str) -> Result<Report, LoadError> {
        parse(Path::new(REPORT_JSON), json)
    }
}

/// A file whole; none if there is none.
fn read(path: &Path) -> Result<Option<String>, LoadError> {
    let unreadable = |error| LoadError::Unreadable(path.to_path_buf(), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(LoadError::TooLarge(path.to_path_buf()));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| LoadError::NotAReport(path.to_path_buf(), "it is no text".into()))?;
    Ok(Some(text))
}

fn parse(path: &Path, text: &str) -> Result<Report, LoadError> {
    let at = || path.to_path_buf();
    let sort = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Eof if text.trim().is_empty() => LoadError::NotAReport(at(), "it is empty".into()),
        serde_json::error::Category::Eof => LoadError::CutShort(at()),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            LoadError::NotAReport(at(), format!("it is no JSON ({error})"))
        }
        serde_json::error::Category::Data => LoadError::NotAReport(at(), "it is JSON without a `schema`".into()),
    };
    let AnyVersion { schema } = serde_json::from_str(text).map_err(sort)?;
    if schema != SCHEMA {
        let version = schema.strip_prefix(SCHEMA_NAME).and_then(|version| version.parse::<u32>().ok());
        return Err(match version {
            Some(_) => LoadError::Newer(at(), schema),
            None => LoadError::NotAReport(at(), format!("its schema is {:?}", super::format::fit(&schema, 60))),
        });
    }
    serde_json::from_str(text).map_err(|error| LoadError::Damaged(at(), error.to_string()))
}

#[cfg(feature = "archive")]
fn with_intervals(report: Report, json: &Path) -> Result<Report, LoadError> {
    let path = json.with_file_name(super::HISTOGRAMS_HLOG);
    let Some(text) = read(&path)? else { return Ok(report) };
    let log = hlog::read_log(&text).map_err(|error| LoadError::Damaged(path.clone(), error.to_string()))?;
    if log.run != report.run.id {
        return Err(LoadError::Mixed(path, [report.run.id, log.run]));
    }
    Ok(Report { intervals: log.intervals, ..report })
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::super::write_report;
    use super::*;

    fn error(path: &Path) -> String {
        Report::load(path).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let written = made_up();
        write_report(dir.path(), &written).unwrap();
        let read = Report::load(dir.path()).unwrap();
        assert_eq!(Report::load(dir.path().join(REPORT_JSON)).unwrap(), read);
        assert_eq!(read.steps["login"].response.map(|t| t.p99_us), written.steps["login"].response.map(|t| t.p99_us));
        assert_eq!(read.intervals.steps.is_empty(), cfg!(not(feature = "archive")));
    }

    #[test]
    fn each_fault_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join(REPORT_JSON);
        assert!(error(dir.path()).contains("there is no report"));
        let json = serde_json::to_string_pretty(&made_up()).unwrap();
        let newer = json.replace(SCHEMA, "loadkit.report/7").replace("\"judgement\"", "\"judgment\"");
        let table = [
            (String::new(), "it is empty"),
            ("PK\u{3}\u{4}".into(), "it is no JSON"),
            ("{}".into(), "without a `schema`"),
            ("[1, 2]".into(), "without a `schema`"),
            ("{\"schema\": \"k6/1\"}".into(), "its schema is \"k6/1\""),
            (newer, "\"loadkit.report/7\", and this version of loadkit reads \"loadkit.report/1\""),
            (json[..json.len() / 2].into(), "cut short"),
            (json[..json.len() - 2].into(), "cut short"),
            (json.replace("\"lasted_s\"", "\"lasted\""), "damaged: missing field `lasted_s`"),
        ];
        for (text, why) in table {
            std::fs::write(&at, text).unwrap();
            let text = error(dir.path());
            assert!(text.contains(why) && text.contains(REPORT_JSON), "{why}: {text}");
        }
    }

    #[test]
    #[cfg(feature = "archive")]
    fn histograms_are_of_the_same_run_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        write_report(dir.path(), &made_up()).unwrap();
        let at = dir.path().join(super::super::HISTOGRAMS_HLOG);
        let log = std::fs::read_to_string(&at).unwrap();
        std::fs::write(&at, &log[..log.len() * 2 / 3]).unwrap();
        let text = error(dir.path());
        assert!(text.contains("histograms.hlog") && text.contains("cut short") && text.contains("line "), "{text}");
        std::fs::write(&at, log.replacen("[Run: 0000", "[Run: a000", 1)).unwrap();
        assert!(error(dir.path()).contains("of the run a000"), "{}", error(dir.path()));
    }
}
