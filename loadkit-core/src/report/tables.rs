//! `Report -> steps.csv, series.csv`: for spreadsheets. Units stand in the heads, as in `report.json`.

use std::io;

use super::{Report, SeriesPoint, SeriesStepFigures, Times};

/// A head, and what stands below it.
type Column = (&'static str, fn(&Times) -> f64);

/// Percentiles and the like of a distribution of times, as they are named in heads.
const TIMES: [Column; 8] = [
    ("min_us", |times| times.min_us as f64),
    ("mean_us", |times| times.mean_us),
    ("p50_us", |times| times.p50_us as f64),
    ("p90_us", |times| times.p90_us as f64),
    ("p95_us", |times| times.p95_us as f64),
    ("p99_us", |times| times.p99_us as f64),
    ("p99_9_us", |times| times.p99_9_us as f64),
    ("max_us", |times| times.max_us as f64),
];

/// A line for each step.
pub(super) fn steps(report: &Report) -> io::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = ["step", "count", "succeeded", "failed", "error_share", "rate_per_s"].map(str::to_owned);
    let times = ["response", "service"].into_iter().flat_map(|what| TIMES.map(|(name, _)| format!("{what}_{name}")));
    table.write_record(head.into_iter().chain(times))?;
    for (name, step) in &report.steps {
        let counts = [step.count, step.succeeded, step.failed].map(|n| n.to_string());
        let shares = [step.error_share, step.rate_per_s].map(|n| n.to_string());
        let times = [&step.response, &step.service].into_iter().flat_map(|times| {
            TIMES.map(|(_, of)| times.as_ref().map_or_else(String::new, |times| of(times).to_string()))
        });
        table.write_record([cell(name)].into_iter().chain(counts).chain(shares).chain(times))?;
    }
    table.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// A line for each point and step; one with no step for a point in which none ended.
pub(super) fn series(report: &Report) -> io::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "from_s",
        "to_s",
        "players_planned",
        "players_active",
        "players_connected",
        "players_started",
        "players_failed",
        "step",
        "succeeded",
        "failed",
        "rate_per_s",
        "response_p50_us",
        "response_p95_us",
        "response_p99_us",
    ])?;
    for point in &report.series.points {
        if point.steps.is_empty() {
            table.write_record(of_point(point).into_iter().chain((0..7).map(|_| String::new())))?;
        }
        for (name, step) in &point.steps {
            table.write_record(of_point(point).into_iter().chain([cell(name)]).chain(of_step(step)))?;
        }
    }
    table.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn of_point(point: &SeriesPoint) -> [String; 7] {
    let SeriesPoint { from_s, to_s, planned, active, connected, started, failed, .. } = point;
    let [planned, active, connected, started, failed] =
        [planned, active, connected, started, failed].map(ToString::to_string);
    [from_s.to_string(), to_s.to_string(), planned, active, connected, started, failed]
}

fn of_step(step: &SeriesStepFigures) -> [String; 6] {
    let time = |time: Option<u64>| time.map_or_else(String::new, |time| time.to_string());
    let [p50, p95, p99] = [step.p50_us, step.p95_us, step.p99_us].map(time);
    [step.succeeded.to_string(), step.failed.to_string(), step.rate_per_s.to_string(), p50, p95, p99]
}

/// A name as a cell. Spreadsheets would take one that begins so for a formula and carry it out; an apostrophe before it
/// makes it a text (OWASP, "CSV Injection").
fn cell(name: &str) -> String {
    let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{empty, hostile, made_up};
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    fn column(rows: &[Vec<String>], name: &str) -> usize {
        rows[0].iter().position(|head| head == name).unwrap()
    }

    #[test]
    fn figures_are_those_of_the_report() {
        let report = made_up();
        let rows = rows(&steps(&report).unwrap());
        assert_eq!(rows.len(), 1 + report.steps.len());
        let login = rows.iter().find(|row| row[0] == "login").unwrap();
        let times = report.steps["login"].response.unwrap();
        assert_eq!(login[column(&rows, "response_p99_9_us")], times.p99_9_us.to_string());
        assert_eq!(login[column(&rows, "failed")], report.steps["login"].failed.to_string());
    }

    #[test]
    fn the_series_has_a_line_for_each_point_and_step() {
        let report = made_up();
        let rows = rows(&series(&report).unwrap());
        let lines: usize = report.series.points.iter().map(|point| point.steps.len().max(1)).sum();
        assert_eq!(rows.len(), 1 + lines);
        let (step, succeeded) = (column(&rows, "step"), column(&rows, "succeeded"));
        let moves: u64 =
            rows.iter().filter(|row| row[step] == "move").map(|row| row[succeeded].parse::<u64>().unwrap()).sum();
        assert_eq!(moves, report.steps["move"].succeeded);
        assert_eq!(super::tests::rows(&series(&empty()).unwrap()).len(), 1);
    }

    #[test]
    fn names_stay_in_their_cells() {
        let mut report = hostile();
        let step = report.steps["login"].clone();
        report.steps.insert("=HYPERLINK(\"x\"),\n1".into(), step);
        let rows = rows(&steps(&report).unwrap());
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        assert!(rows.iter().any(|row| row[0] == "'=HYPERLINK(\"x\"),\n1"));
    }
}
