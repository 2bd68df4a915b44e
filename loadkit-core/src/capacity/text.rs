//! The answer in words, and the curve as a table.

use std::fmt::Write as _;

use super::answer::{Answer, Top};
use super::search::Observation;
use super::show::{Capacity, Probed};
use crate::report::format;

/// Columns of figures in the table; a terminal has no room for more.
const MAX_COLUMNS: usize = 3;
/// The width of a column of figures.
const COLUMN: usize = 24;

impl Capacity {
    /// The answer in a sentence or a few.
    pub fn headline(&self) -> String {
        let Answer { held, missed, ceiling, top, settled, .. } = self.answer;
        let words = |load: u64| self.load.words(load);
        let known = match (top, held, missed.or(ceiling)) {
            (Top::Server, Some(held), Some(missed)) => {
                format!("{} held, {} did not", words(held), format::count(missed))
            }
            (Top::Server, None, Some(missed)) if settled => {
                format!("not even {} held: the capacity is below {}", words(missed), format::count(missed))
            }
            (Top::Server, None, Some(missed)) => format!("{} did not hold, and less was not tried", words(missed)),
            (Top::Generator, Some(held), Some(ceiling)) => format!(
                "at least {}: this machine can make no more. At {} the load generator gave out, and up to there the \
                 server held",
                words(held),
                format::count(ceiling)
            ),
            (Top::Generator, Some(held), None) => {
                format!("at least {}: this machine can make no more, and up to there the server held", words(held))
            }
            (Top::Generator, None, Some(ceiling)) => {
                format!("this machine cannot make {}: nothing is known about the server", words(ceiling))
            }
            (Top::SafetyLimit, Some(held), _) => {
                format!("at least {}: that is the safety limit, and the server held", words(held))
            }
            (_, Some(held), _) => format!("at least {}: more was not tried", words(held)),
            _ => "no probe was made".to_owned(),
        };
        let mut text = if settled { known } else { format!("the search did not come to its end. So far: {known}") };
        text.push_str(&self.doubt());
        if let Some(reason) = self.evidence().and_then(|probe| probe.reasons.first()) {
            let _ = write!(text, ": {reason}");
        }
        text
    }

    /// Where probes contradicted each other.
    fn doubt(&self) -> String {
        let Answer { held, missed, surely_held, surely_missed, .. } = self.answer;
        if (held, missed) == (surely_held, surely_missed) || held.is_none() && missed.is_none() {
            return String::new();
        }
        let from = surely_held.map_or("nothing".to_owned(), format::count);
        let place = match surely_missed {
            Some(to) => format!("between {from} and {}", format::count(to)),
            None => format!("above {from}"),
        };
        format!(" (probes contradicted each other {place})")
    }

    /// What is shown at the end: the verdict, the answer, and the curve. `place` is where its files are.
    pub fn summary(&self, place: Option<&str>) -> String {
        let mut text = format!("{}  {}\n\n", self.verdict, self.headline());
        let columns = self.objective.iter().take(MAX_COLUMNS).map(|threshold| format::fit(threshold, COLUMN - 2));
        let head: String = columns.map(|column| format!("{column:>COLUMN$}")).collect();
        let _ = writeln!(text, "{:>12}  {:8}{head}", self.unit(), "");
        for probe in self.curve() {
            let _ = writeln!(text, "{}", row(probe));
        }
        let left_out = self.objective.len().saturating_sub(MAX_COLUMNS);
        if left_out > 0 {
            let _ = writeln!(text, "and {}", format::counted(left_out as u64, "more figure", "more figures"));
        }
        if let Some(place) = place {
            let _ = writeln!(text, "\nThe curve, and the report of the greatest load that held: {place}");
        }
        text
    }

    /// The loads' unit, as a table's heading.
    pub(super) fn unit(&self) -> &'static str {
        match self.load {
            super::Load::Players => "players",
            super::Load::ArrivalsPerSecond => "arrivals/s",
        }
    }
}

impl Probed {
    /// What came of it, in a line: `held: p99(tick) < 100ms is 12.1ms`.
    pub fn line(&self) -> String {
        let figure = |measured: &super::Measured| {
            format!("{} is {}", measured.threshold, measured.text.as_deref().unwrap_or("not measured"))
        };
        let why = match self.seen {
            Observation::Held => self.measured.iter().map(figure).collect::<Vec<_>>().join(", "),
            _ => self.reasons.first().cloned().unwrap_or_default(),
        };
        format!("{}: {why}", self.seen.name())
    }
}

impl Observation {
    /// `held`, `missed` or `invalid`.
    pub fn name(self) -> &'static str {
        match self {
            Observation::Held => "held",
            Observation::Missed => "missed",
            Observation::Invalid => "invalid",
        }
    }
}

fn row(probe: &Probed) -> String {
    let figures = probe.measured.iter().take(MAX_COLUMNS);
    let figures: String =
        figures.map(|measured| format!("{:>COLUMN$}", measured.text.as_deref().unwrap_or("-"))).collect();
    format!("{:>12}  {:8}{figures}", format::count(probe.load), probe.seen.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Load, Objective, Range, Reading, Search};
    use super::*;
    use crate::threshold::Threshold;
    use crate::verdict::{Check, Checked, Judgement, Reason, Verdict};

    /// A search that saw these, in their order, whatever it asked for.
    fn capacity(range: Range, mut look: impl FnMut(u64) -> Observation, most: usize) -> Capacity {
        let second = Duration::from_secs(1);
        let slo = vec![Threshold::parse("p99(tick) < 100ms").unwrap()];
        let objective = Objective::new(slo, Load::Players, 10 * second, second, second).unwrap();
        let mut search = Search::new(range).unwrap();
        let mut probes = Vec::new();
        while let Some(probe) = search.next().filter(|_| probes.len() < most) {
            let seen = look(probe.load);
            let value = probe.load as f64 * 1_000.0;
            let text = format!("it was {}", seen.name());
            let judgement = Judgement {
                verdict: Verdict::Pass,
                reasons: vec![Reason { verdict: Verdict::Fail, text }],
                warnings: Vec::new(),
                thresholds: vec![Checked {
                    threshold: "p99(tick) < 100ms".into(),
                    outcome: Check::Met,
                    measured: Some(format!("{}ms", probe.load)),
                    value: Some(value),
                    evidence: None,
                }],
            };
            probes.push(Probed::new(probe.load, &objective, &Reading { seen, judgement }));
            search.observe(probe.load, seen);
        }
        Capacity::new(&search, &objective, probes)
    }

    const RANGE: Range = Range { start: 10, max: 100, unit: 1, tolerance: 0.1 };

    #[test]
    fn the_answer_is_said_with_its_evidence() {
        use Observation::{Held, Invalid, Missed};
        let found = capacity(RANGE, |load| if load < 50 { Held } else { Missed }, 99);
        let (held, missed) = (found.answer.held.unwrap(), found.answer.missed.unwrap());
        assert_eq!(found.headline(), format!("{held} players held, {missed} did not: it was missed"));
        let below = capacity(RANGE, |_| Missed, 99);
        assert!(
            below.headline().starts_with("not even 1 player held: the capacity is below 1"),
            "{}",
            below.headline()
        );
        let limit = capacity(RANGE, |_| Held, 99);
        assert_eq!(limit.headline(), "at least 100 players: that is the safety limit, and the server held");
        let sick = capacity(RANGE, |load| if load < 50 { Held } else { Invalid }, 99);
        assert!(sick.headline().contains("this machine can make no more"), "{}", sick.headline());
        assert_eq!(sick.verdict, Verdict::Invalid);
        let stopped = capacity(RANGE, |_| Held, 2);
        assert_eq!(
            stopped.headline(),
            "the search did not come to its end. So far: at least 20 players: more was not tried"
        );
        assert!(capacity(RANGE, |_| Held, 0).headline().contains("no probe was made"));
    }

    #[test]
    fn contradictions_are_told() {
        let mut once = true;
        let seen = |load: u64| match load {
            46 if std::mem::take(&mut once) => Observation::Missed,
            0..50 => Observation::Held,
            _ => Observation::Missed,
        };
        let found = capacity(RANGE, seen, 99);
        assert_eq!((found.answer.held, found.answer.surely_held), (Some(46), Some(42)));
        let told = "46 players held, 50 did not (probes contradicted each other between 42 and 50): it was missed";
        assert_eq!(found.headline(), told);
    }

    #[test]
    fn the_curve_is_a_table_by_load_and_reads_back() {
        let found = capacity(RANGE, |load| if load < 50 { Observation::Held } else { Observation::Missed }, 99);
        let text = found.summary(Some("report"));
        assert!(text.starts_with("PASS  ") && text.contains("p99(tick) < 100ms") && text.contains("10ms"), "{text}");
        let loads: Vec<u64> = found.curve().iter().map(|probe| probe.load).collect();
        assert!(loads.is_sorted() && loads.len() == found.probes.len());
        let dir = tempfile::tempdir().unwrap();
        super::super::write_capacity(dir.path(), &found).unwrap();
        let json = std::fs::read(dir.path().join("capacity.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Capacity>(&json).unwrap(), found);
        #[cfg(feature = "html")]
        assert!(std::fs::read_to_string(dir.path().join("capacity.svg")).unwrap().contains("players"));
    }
}
