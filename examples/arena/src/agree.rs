//! Two who counted the same: the bots' counts beside the server's own.

use std::fmt;

use crate::counts::Counts;

/// The bots' counts beside the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    rows: Vec<Row>,
    cut_off: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    what: &'static str,
    bots: u64,
    failed: u64,
    server: u64,
}

impl Comparison {
    /// Compares. `step` tells how often a step succeeded and failed; `cut_off` how many bots were stopped in mid-play.
    pub fn new(counts: &Counts, step: impl Fn(&str) -> (u64, u64), cut_off: u64) -> Comparison {
        let row = |(what, name, server)| {
            let (bots, failed) = step(name);
            Row { what, bots, failed, server }
        };
        let rows = [
            ("logins", "login", counts.logins),
            ("matches found", "matchmake", counts.matches_found),
            ("moves answered", "tick", counts.moves),
            ("purchases", "buy", counts.purchases),
            ("leave-takings", "leave", counts.leaves),
        ];
        Comparison { rows: rows.map(row).into(), cut_off }
    }

    /// Whether the counts agree.
    ///
    /// A bot counts an answer when it has it, and the server when it has sent it. So they are equal, but for answers
    /// that a bot no longer waited for: those can be as many as its steps that failed, and one for each bot cut off.
    pub fn agrees(&self) -> bool {
        self.rows.iter().all(|row| self.row_agrees(row))
    }

    fn row_agrees(&self, row: &Row) -> bool {
        (row.bots..=row.bots + row.failed + self.cut_off).contains(&row.server)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:16}{:>12}{:>12}{:>12}", "", "bots", "server", "failed")?;
        for row in &self.rows {
            let Row { what, bots, failed, server } = row;
            let mark = if self.row_agrees(row) { "" } else { "  <- differs" };
            writeln!(f, "{what:16}{bots:>12}{server:>12}{failed:>12}{mark}")?;
        }
        if self.cut_off > 0 {
            writeln!(
                f,
                "{} bots were cut off in mid-play; what was under way then, one of the two may miss",
                self.cut_off
            )?;
        }
        f.write_str(if self.agrees() { "The bots and the server agree." } else { "THE BOTS AND THE SERVER DISAGREE." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(moves: u64, bots: u64, failed: u64, cut_off: u64) -> Comparison {
        let step = |name: &str| if name == "tick" { (bots, failed) } else { (0, 0) };
        Comparison::new(&Counts { moves, ..Counts::default() }, step, cut_off)
    }

    #[test]
    fn equal_counts_agree_and_losses_explain_what_is_missing() {
        assert!(compare(7, 7, 0, 0).agrees());
        assert!(!compare(8, 7, 0, 0).agrees());
        assert!(!compare(6, 7, 5, 5).agrees(), "nobody has more answers than were sent");
        assert!(compare(9, 7, 1, 1).agrees());
        assert!(!compare(10, 7, 1, 1).agrees());
        assert!(compare(8, 7, 0, 0).to_string().contains("DISAGREE"));
    }
}
