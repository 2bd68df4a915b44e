//! `a gate without enough data -> the setting that changes it`: what a pipeline's owner can do, in a line.

use std::time::Duration;

use loadkit_core::gate::{Compared, Decision, Gate};
use loadkit_core::{Verdict, format_duration};

/// Limits are suggested in steps of so much.
const STEP: f64 = 0.05;

/// What to do about a run of so many seconds, of which the gate says that there is not enough data; none of any other.
pub(super) fn of(gate: &Gate, lasted_s: f64) -> Option<String> {
    if gate.verdict != Verdict::Invalid {
        return None;
    }
    let unsure: Vec<(&Compared, Option<u64>)> = gate.figures.iter().filter_map(|one| Some((one, more(one)?))).collect();
    if unsure.is_empty() {
        return None;
    }
    let seconds: Option<Vec<u64>> = unsure.iter().map(|(_, more)| *more).collect();
    let longer = seconds.and_then(|seconds| seconds.into_iter().max()).map(|more| {
        let whole = lasted_s.max(0.0) + more as f64;
        let whole = Duration::try_from_secs_f64(whole.ceil()).unwrap_or_default();
        format!("play longer: --set duration={}", format_duration(whole))
    });
    let first = longer.unwrap_or_else(|| quieter(gate).to_owned());
    let wider = ["detect", "detect-errors"].into_iter().zip([true, false]).filter_map(|(setting, is_relative)| {
        let hidden =
            unsure.iter().filter(|(one, _)| one.figure.is_relative() == is_relative).map(|(one, _)| worst(one));
        let limit = hidden.reduce(f64::max).map(|worst| (worst / STEP).ceil() * STEP)?;
        Some((limit < 1.0).then(|| format!("--set {setting}={:.0}%", limit * 100.0)))
    });
    // Where one of the two cannot be had, the other alone would not do.
    let wider: Option<Vec<String>> = wider.collect();
    let or = wider.map(|wider| format!("; or look for larger changes only: {}", wider.join(" ")));
    Some(format!("not enough data: {first}{}", or.unwrap_or_default()))
}

/// How many seconds more would do, of a figure that is not sure.
fn more(one: &Compared) -> Option<Option<u64>> {
    match one.decision {
        Decision::NotEnoughData { more_s } => Some(more_s),
        _ => None,
    }
}

/// By how much it could have become worse.
fn worst(one: &Compared) -> f64 {
    // As the gate has it: a rate that has fallen to a half counts as a time that has doubled.
    if one.figure.more_is_better() { 1.0 / (1.0 + one.low).max(1e-9) - 1.0 } else { one.high }
}

fn quieter(gate: &Gate) -> &'static str {
    match gate.paired {
        true => "longer runs would not help: take a quieter machine, or fewer players on it",
        false => {
            "longer runs would not help: keep more baselines (--keep), play both builds at once (--base-server), or take a \
                  quieter machine"
        }
    }
}

#[cfg(test)]
mod tests {
    use loadkit_core::gate::Figure;

    use super::*;

    fn unsure(figure: Figure, low: f64, high: f64, more_s: Option<u64>) -> Compared {
        let decision = Decision::NotEnoughData { more_s };
        let (step, steady) = ("move".to_owned(), None);
        Compared {
            step,
            figure,
            old: 1.0,
            new: 1.0,
            change: 0.0,
            low,
            high,
            p: 1.0,
            p_corrected: 1.0,
            steady,
            decision,
        }
    }

    fn said(figures: Vec<Compared>, paired: bool) -> Option<String> {
        let gate = Gate {
            verdict: Verdict::Invalid,
            reasons: Vec::new(),
            notes: Vec::new(),
            figures,
            too_rare: Vec::new(),
            baselines: Vec::new(),
            candidates: Vec::new(),
            from_s: 0.0,
            compared_s: 60.0,
            paired,
        };
        of(&gate, 62.0)
    }

    #[test]
    fn it_says_how_long_or_how_large() {
        let p95 = unsure(Figure::P95, -0.1, 0.32, Some(50));
        let rate = unsure(Figure::Rate, -0.3, 0.1, Some(30));
        assert_eq!(
            said(vec![p95.clone(), rate], true).unwrap(),
            "not enough data: play longer: --set duration=1m52s; or look for larger changes only: --set detect=45%"
        );
        let errors = unsure(Figure::Errors, 0.0, 0.031, Some(10));
        assert!(said(vec![p95.clone(), errors], true).unwrap().ends_with("--set detect=35% --set detect-errors=5%"));
        let far = unsure(Figure::P95, -0.1, 4.0, None);
        assert!(said(vec![p95, far], false).unwrap().ends_with("(--base-server), or take a quieter machine"));
        assert_eq!(said(Vec::new(), true), None);
    }
}
