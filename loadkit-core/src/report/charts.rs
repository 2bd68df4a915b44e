//! `Report -> SVG files`: what happened over time, how times are distributed, and how connections and the kit were doing.
//!
//! An SVG here has presentation attributes only: no style sheet, no script, no font of its own. So it shows under a
//! content-security policy that forbids those.

use std::collections::BTreeSet;

use super::curves::{connections, distribution, generator};
use super::plot::{Across, Line, Plot, Scale};
use super::{Report, SeriesPoint, SeriesStepFigures, format};

/// At most so many steps have a chart of percentiles of their own.
const MAX_PERCENTILE_CHARTS: usize = 12;
/// At most so many lines are in one chart: as many as there are colours that all people can tell apart.
pub(super) const MAX_LINES: usize = 7;
/// At this ratio of the largest to the smallest value, percentiles are on a logarithmic scale.
const LOG_RATIO: f64 = 20.0;

/// Colours that colour-blind people can tell apart, on white: Okabe and Ito, "Color Universal Design", 2008, without
/// its yellow, which is too light for lines.
pub(super) const PALETTE: [(u8, u8, u8); MAX_LINES] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)];
pub(super) const BLUE: (u8, u8, u8) = PALETTE[0];
pub(super) const RED: (u8, u8, u8) = PALETTE[1];
pub(super) const ORANGE: (u8, u8, u8) = PALETTE[4];
const BLACK: (u8, u8, u8) = PALETTE[6];

/// A chart in a file.
pub(super) struct Chart {
    /// The file's name.
    pub(super) file: String,
    /// What it shows, for those who cannot see it.
    pub(super) description: String,
    /// The file's text.
    pub(super) svg: String,
    /// The height of its legend, by which it is higher than [`super::plot::SIZE`].
    pub(super) legend_px: u32,
}

/// The charts of a report, each part in the order in which it is to be looked at.
#[derive(Default)]
pub(super) struct Charts {
    /// Players, rates, failures and percentiles over time.
    pub(super) over_time: Vec<Chart>,
    /// The distribution of each step's times.
    pub(super) distributions: Vec<Chart>,
    /// Connections over time.
    pub(super) connections: Vec<Chart>,
    /// The load generator over time.
    pub(super) generator: Vec<Chart>,
    /// Steps that have no chart of their own, because there are too many.
    pub(super) left_out: Vec<String>,
}

impl Charts {
    /// All of them.
    pub(super) fn into_all(self) -> impl Iterator<Item = Chart> {
        let Charts { over_time, distributions, connections, generator, .. } = self;
        over_time.into_iter().chain(distributions).chain(connections).chain(generator)
    }
}

/// Adds a chart that there is something to see in.
pub(super) fn draw(charts: &mut Vec<Chart>, file: impl Into<String>, description: impl Into<String>, plot: &Plot) {
    let legend_px = plot.legend_px();
    let chart = |svg| Chart { file: file.into(), description: description.into(), svg, legend_px };
    charts.extend(plot.svg().map(chart));
}

/// Draws the charts that there is something to see in.
pub(super) fn charts(report: &Report) -> Charts {
    let mut charts = Charts::default();
    if report.series.points.is_empty() || report.lasted_s <= 0.0 {
        return charts;
    }
    let timed = most_frequent(report, |step| step.succeeded > 0);
    let over_time = &mut charts.over_time;
    draw(over_time, "players.svg", players_description(report), &players(report));
    draw_rates(report, &timed, over_time);
    let mut names = FileNames::default();
    let mut shown: Vec<&str> = timed.iter().copied().take(MAX_PERCENTILE_CHARTS).collect();
    shown.sort_unstable();
    for step in shown {
        let name = format::name(step, 60);
        let description = format!("Percentiles of the response time of {name}, over time");
        draw(over_time, names.make("percentiles-", step), description, &percentiles(report, step));
        if let Some(plot) = distribution(report, step) {
            let description = format!("Response and service time of {name} by percentile");
            draw(&mut charts.distributions, names.make("distribution-", step), description, &plot);
        }
    }
    charts.left_out = timed.iter().skip(MAX_PERCENTILE_CHARTS).map(|step| (*step).to_owned()).collect();
    charts.connections = connections(report);
    charts.generator = generator(report);
    charts
}

/// How many steps succeeded, and how many steps and players failed.
fn draw_rates(report: &Report, timed: &[&str], charts: &mut Vec<Chart>) {
    let steps = most_frequent(report, |step| step.succeeded > 0 || step.failed > 0);
    if !timed.is_empty() {
        let plot = rates(report, "Steps that succeeded", lines(report, &steps, timed, |step| step.succeeded));
        draw(charts, "rate.svg", "How many steps succeeded a second, over time", &plot);
    }
    let failing = most_frequent(report, |step| step.failed > 0);
    if !failing.is_empty() || report.players.failed > 0 {
        let mut all = lines(report, &steps, &failing, |step| step.failed);
        if report.players.failed > 0 {
            all.truncate(MAX_LINES - 1);
            // Below the steps' lines and wider than those, so that it is seen where they are equal.
            let points = vec![per_second(report, |point| point.failed)];
            all.insert(0, Line { width: 4, ..Line::new("players", BLACK, points) });
        }
        let plot = rates(report, "Failures", all);
        draw(charts, "failures.svg", "How many steps and players failed a second, over time", &plot);
    }
}

/// The steps for which something in the series holds, the most frequent first.
fn most_frequent(report: &Report, holds: impl Fn(&SeriesStepFigures) -> bool) -> Vec<&str> {
    let in_series: BTreeSet<&str> = report
        .series
        .points
        .iter()
        .flat_map(|point| point.steps.iter().filter(|(_, step)| holds(step)).map(|(name, _)| name.as_str()))
        .collect();
    let mut steps: Vec<(u64, &str)> =
        in_series.into_iter().map(|name| (report.steps.get(name).map_or(0, |step| step.count), name)).collect();
    steps.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    steps.into_iter().map(|(_, name)| name).collect()
}

fn players(report: &Report) -> Plot {
    let at_end = |of: fn(&SeriesPoint) -> u64| {
        let points = report.series.points.iter().map(|point| (point.to_s, of(point) as f64));
        vec![std::iter::once((0.0, 0.0)).chain(points).collect::<Vec<_>>()]
    };
    let lines = vec![
        Line { area: true, ..Line::new("planned", BLACK, at_end(|point| point.planned)) },
        Line { width: 3, ..Line::new("at work", BLUE, at_end(|point| point.active)) },
        Line::new("connected", ORANGE, at_end(|point| point.connected)),
    ];
    Plot { title: "Players".into(), across: Across::Time(report.lasted_s), scale: Scale::Linear(format::number), lines }
}

fn players_description(report: &Report) -> String {
    let players = &report.players;
    format!(
        "Players over time: at most {} planned, {} at work and {} connected at once",
        format::count(players.peak_planned),
        format::count(players.peak_active),
        format::count(players.peak_connected)
    )
}

pub(super) fn rates(report: &Report, what: &str, lines: Vec<Line>) -> Plot {
    let peak = |line: &Line| line.parts.iter().flatten().fold(0.0, |peak: f64, (_, value)| peak.max(*value));
    let peaks = || lines.iter().map(peak).filter(|peak| *peak > 0.0);
    let wide = peaks().fold(0.0, f64::max) >= LOG_RATIO * peaks().fold(f64::MAX, f64::min);
    let steps = lines.iter().filter(|line| line.name != "players").count();
    let mut title = format!("{what}, per second");
    if wide {
        title.push_str(", on a logarithmic scale");
    }
    if report.steps.len() > steps && steps + 1 >= MAX_LINES {
        title.push_str(&format!("; the {steps} most frequent steps"));
    }
    let scale = if wide { Scale::Logarithmic(format::rate) } else { Scale::Linear(format::rate) };
    Plot { title, across: Across::Time(report.lasted_s), scale, lines }
}

/// A line for each of the first steps shown. A step has the same colour in all charts, as long as colours last.
fn lines(report: &Report, all: &[&str], shown: &[&str], of: fn(&SeriesStepFigures) -> u64) -> Vec<Line> {
    let mut free = PALETTE.to_vec();
    let mut lines = Vec::new();
    for step in shown.iter().take(MAX_LINES) {
        let own = all.iter().position(|other| other == step).and_then(|at| PALETTE.get(at));
        let at = free.iter().position(|colour| Some(colour) == own).unwrap_or(0);
        let points = per_second(report, |point| point.steps.get(*step).map_or(0, of));
        lines.push(Line::new(step, free.remove(at), vec![points]));
    }
    lines
}

pub(super) fn per_second(report: &Report, of: impl Fn(&SeriesPoint) -> u64) -> Vec<(f64, f64)> {
    let width_s = report.series.width_s;
    // A few in the sliver of time at the end are no high rate.
    let covers_s = |point: &SeriesPoint| (point.to_s - point.from_s).max(width_s / 2.0);
    report.series.points.iter().map(|point| (middle(point), of(point) as f64 / covers_s(point))).collect()
}

fn percentiles(report: &Report, step: &str) -> Plot {
    let line = |name: &str, colour, of: fn(&SeriesStepFigures) -> Option<u64>| {
        Line::new(name, colour, parts(report, |point| Some(point.steps.get(step).and_then(of)? as f64)))
    };
    let lines =
        vec![line("p99", RED, |s| s.p99_us), line("p95", ORANGE, |s| s.p95_us), line("p50", BLUE, |s| s.p50_us)];
    times(format!("{}: response time", format::name(step, 60)), Across::Time(report.lasted_s), lines)
}

/// A chart of times, on the scale that suits them.
pub(super) fn times(title: String, across: Across, lines: Vec<Line>) -> Plot {
    let values = || lines.iter().flat_map(|line| line.parts.iter().flatten()).map(|(_, value)| value.max(1.0));
    let (smallest, largest) = (values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max));
    let wide = largest / smallest >= LOG_RATIO;
    let scale = if wide { Scale::Logarithmic(format::micros) } else { Scale::Linear(format::micros) };
    let title = if wide { format!("{title}, on a logarithmic scale") } else { title };
    Plot { title, across, scale, lines }
}

/// A figure over time. Where there is none, the line has a gap.
pub(super) fn parts(report: &Report, of: impl Fn(&SeriesPoint) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let at = |point: &SeriesPoint| Some((middle(point), of(point)?));
    let gaps = report.series.points.split(|point| at(point).is_none());
    let parts = gaps.map(|part| part.iter().filter_map(at).collect::<Vec<_>>());
    parts.filter(|part| !part.is_empty()).collect()
}

fn middle(point: &SeriesPoint) -> f64 {
    f64::midpoint(point.from_s, point.to_s)
}

/// Whether a chart of the page could have this name.
pub(super) fn is_file_name(name: &str) -> bool {
    const FIXED: [&str; 9] = [
        "players",
        "rate",
        "failures",
        "connection-packets",
        "connection-rtt",
        "connection-trouble",
        "generator-lag",
        "generator-cpu",
        "generator-memory",
    ];
    let is_safe = |stem: &str| stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    name.strip_suffix(".svg").is_some_and(|stem| {
        let of_a_step = ["percentiles-", "distribution-"].iter().find_map(|prefix| stem.strip_prefix(prefix));
        FIXED.contains(&stem) || of_a_step.is_some_and(|step| !step.is_empty() && is_safe(step))
    })
}

/// Makes file names that are safe on every file system and in every address, and unique.
#[derive(Default)]
pub(super) struct FileNames(BTreeSet<String>);

impl FileNames {
    /// `percentiles-log-in.svg` of `Log in`.
    pub(super) fn make(&mut self, prefix: &str, name: &str) -> String {
        let mut safe = String::new();
        for c in name.chars() {
            match c {
                _ if safe.len() >= 40 => break,
                c if c.is_ascii_alphanumeric() => safe.push(c.to_ascii_lowercase()),
                _ if !safe.is_empty() && !safe.ends_with('-') => safe.push('-'),
                _ => {}
            }
        }
        let safe = match safe.trim_end_matches('-') {
            "" => "step",
            safe => safe,
        };
        let numbered =
            (1_u32..).map(|n| if n == 1 { format!("{prefix}{safe}.svg") } else { format!("{prefix}{safe}-{n}.svg") });
        let file = numbered.into_iter().find(|file| !self.0.contains(file)).unwrap_or_default();
        self.0.insert(file.clone());
        file
    }
}
