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
const FIVE_MINUTES: Trial = Trial { seconds: 300, stretch: 20, slower: 1.05, paired: false, told: false };
const THIRTY_SECONDS: Trial = Trial { seconds: 30, stretch: 10, slower: 1.2, paired: false, told: false };

/// One tape and one length only, with the reasons of each false alarm, while the gate is worked on:
/// `LOADKIT_BENCH_ONLY=far/300`.
const ONLY: &str = "LOADKIT_BENCH_ONLY";

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
    let only = std::env::var(ONLY).ok();
    for Pair { name, old, new, paired, pairs } in TAPES {
        let (Some(old), Some(new)) = (Tape::read(old), Tape::read(new)) else { continue };
        for trial in [FIVE_MINUTES, THIRTY_SECONDS] {
            if only.as_ref().is_some_and(|only| *only != format!("{name}/{}", trial.seconds)) {
                continue;
            }
            let score = score(&old, &new, Trial { paired, told: only.is_some(), ..trial }, pairs);
            print(name, trial, score);
            let share = |count: u32| f64::from(count) / f64::from(score.pairs);
            let notes = json!({
                "noise": name, "seconds": trial.seconds, "slower": trial.slower, "pairs": score.pairs, "paired": paired,
                "unsure": share(score.unsure), "found": share(score.found), "failed": share(score.failed),
                "naive_5_false": share(score.naive_5[0]), "naive_5_found": share(score.naive_5[1]),
                "naive_10_false": share(score.naive_10[0]), "naive_10_found": share(score.naive_10[1]),
            });
            let figure =
                |name, count, bound: fn(Figure) -> Figure| bound(Figure::new(name, share(count)).with(notes.clone()));
            let long = trial.seconds == FIVE_MINUTES.seconds;
            // The tapes of a machine with nothing else to do are held to the promises; a hundred pairs are too few for a percent.
            let quiet = pairs == PAIRS;
            figures.push(figure(
                "gate_false_alarms",
                score.false_alarms,
                if quiet { |f| f.at_most(0.01) } else { |f| f },
            ));
            // On the other tapes, from loopback, a twentieth of the p95 is 40 µs: less than the gate lets matter.
            let promised = name == "far";
            let found: fn(Figure) -> Figure = match long {
                true => |f| f.at_least(0.95),
                false => |f| f.at_least(0.99),
            };
            figures.push(figure("gate_found", score.found, if promised { found } else { |f| f }));
            figures.push(figure("gate_failed", score.failed, if promised { |f| f.at_least(0.99) } else { |f| f }));
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
