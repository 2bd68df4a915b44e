//! Whether the regression gate can be believed: a thousand pairs of runs, drawn from recorded noise.
//!
//! The tapes are in `tests/data`, and `tests/data/README.md` says how each was recorded. The table on standard error has
//! the gate beside the rule that most have in place of one.

use loadkit_tests::bench::Figure;
use loadkit_tests::noise::{Score, Tape, Trial, score};
use serde_json::json;

/// Pairs of each kind, for tapes of a machine that had nothing else to do, and for the others.
const PAIRS: u32 = 1_000;
const FEWER_PAIRS: u32 = 100;
const FIVE_MINUTES: Trial = Trial { seconds: 300, stretch: 20, slower: 1.05, paired: false };
const THIRTY_SECONDS: Trial = Trial { seconds: 30, stretch: 10, slower: 1.2, paired: false };

/// A tape, or two that belong together.
struct Pair {
    name: &'static str,
    old: &'static [u8],
    new: &'static [u8],
    /// Recorded at the same time.
    paired: bool,
    /// How many pairs of runs are drawn.
    pairs: u32,
}

const fn alone(name: &'static str, tape: &'static [u8], pairs: u32) -> Pair {
    Pair { name, old: tape, new: tape, paired: false, pairs }
}

const TAPES: [Pair; 5] = [
    alone("idle", include_bytes!("../data/idle.noise"), PAIRS),
    alone("far", include_bytes!("../data/far.noise"), PAIRS),
    alone("busy", include_bytes!("../data/busy.noise"), FEWER_PAIRS),
    alone("shared", include_bytes!("../data/shared.noise"), FEWER_PAIRS),
    Pair {
        name: "beside",
        old: include_bytes!("../data/beside_old.noise"),
        new: include_bytes!("../data/beside_new.noise"),
        paired: true,
        pairs: FEWER_PAIRS,
    },
];

/// All trials on all tapes.
pub(crate) fn gate() -> Vec<Figure> {
    eprintln!(
        "{:<8} {:>5} {:>6}  {:>25} {:>18} {:>18}",
        "noise", "time", "slower", "gate", "p95 up 5 %", "p95 up 10 %"
    );
    eprintln!("{:<22} {:>25} {:>18} {:>18}", "", "false/unsure/found/failed", "false/found", "false/found");
    let mut figures = Vec::new();
    for Pair { name, old, new, paired, pairs } in TAPES {
        let (Some(old), Some(new)) = (Tape::read(old), Tape::read(new)) else { continue };
        for trial in [FIVE_MINUTES, THIRTY_SECONDS] {
            let score = score(&old, &new, Trial { paired, ..trial }, pairs);
            print(name, trial, score);
            let share = |count: u32| f64::from(count) / f64::from(score.pairs);
            let notes = json!({
                "noise": name, "seconds": trial.seconds, "slower": trial.slower, "pairs": score.pairs, "paired": paired,
                "unsure": share(score.unsure), "found": share(score.found), "failed": share(score.failed),
                "naive_5_false": share(score.naive_5[0]), "naive_5_found": share(score.naive_5[1]),
                "naive_10_false": share(score.naive_10[0]), "naive_10_found": share(score.naive_10[1]),
            });
            figures.push(Figure::new("gate_false_alarms", share(score.false_alarms)).at_most(0.01).with(notes.clone()));
            // On the other tapes, from loopback, a twentieth of the p95 is 40 µs: less than they move by themselves.
            if name == "far" {
                let least = if trial.seconds == FIVE_MINUTES.seconds { 0.95 } else { 0.99 };
                figures.push(Figure::new("gate_found", share(score.found)).at_least(least).with(notes));
            }
        }
    }
    figures
}

fn print(name: &str, trial: Trial, score: Score) {
    let percent = |count: u32| format!("{:.1}%", f64::from(count) * 100.0 / f64::from(score.pairs));
    let of = |[falsely, found]: [u32; 2]| format!("{}/{}", percent(falsely), percent(found));
    let gate = [score.false_alarms, score.unsure, score.found, score.failed].map(percent).join("/");
    let slower = format!("{:+.0}%", (trial.slower - 1.0) * 100.0);
    let [five, ten] = [of(score.naive_5), of(score.naive_10)];
    eprintln!("{name:<8} {:>4}s {slower:>6}  {gate:>25} {five:>18} {ten:>18}", trial.seconds);
}
