//! From differences and their errors to decisions, and from those to a verdict.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::estimate::Estimate;
use super::figure::Figure;
use super::run::GateRun;
use super::{Compared, Decision, GateOptions, Steady, TooRare, steady};
use crate::report::format;
use crate::verdict::Verdict;

/// Nobody is told to run longer than this: a day.
const MAX_MORE_S: f64 = 86_400.0;
/// With more degrees of freedom, Student's t is the normal distribution to four digits where we look at it.
const NORMAL: f64 = 1e6;

/// A figure on both sides, not yet judged.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) step: String,
    pub(super) figure: Figure,
    pub(super) old: f64,
    pub(super) new: f64,
    pub(super) difference: Estimate,
    /// How probable a difference at least as large is where there is none.
    pub(super) p: f64,
    /// The least probability that there could have been, whichever way the dice had fallen.
    pub(super) least_p: f64,
    /// The figure in quiet seconds.
    pub(super) steady: Option<steady::Steady>,
}

/// How probable a value at least so far from 0 is, on either side.
pub(super) fn p_value(t: f64, freedom: f64) -> f64 {
    let beyond = |below: f64| (2.0 * below).clamp(0.0, 1.0);
    match StudentsT::new(0.0, 1.0, freedom.min(NORMAL)) {
        _ if t.is_nan() => 1.0,
        Ok(student) if freedom < NORMAL => beyond(student.cdf(-t.abs())),
        _ => beyond(Normal::standard().cdf(-t.abs())),
    }
}

/// How many errors an interval reaches to either side that misses with this probability.
fn reach(miss: f64, freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom.min(NORMAL)) {
        Ok(student) if freedom < NORMAL => -student.inverse_cdf(miss / 2.0),
        _ => -Normal::standard().inverse_cdf(miss / 2.0),
    }
}

/// Judges all figures together: the whole ones and the steady ones are one family of tests.
pub(super) fn decide(measured: Vec<Measured>, compared_s: f64, options: &GateOptions) -> Vec<Compared> {
    let steadies = || {
        let with_matters = |one: &'_ Measured| Some((one.steady?, matters(one.figure, &one.steady?, options)));
        measured.iter().filter_map(with_matters)
    };
    let least: Vec<f64> = measured.iter().map(|one| one.least_p).chain(steadies().map(|_| 0.0)).collect();
    let tests = in_question(&least, options.alpha);
    // Intervals hold for all figures together, whether or not these can be called changed.
    let intervals = least.iter().filter(|least| **least < 1.0).count().max(1) as f64;
    let p: Vec<f64> =
        measured.iter().map(|one| one.p).chain(steadies().map(|(one, matters)| rise(one, matters))).collect();
    let corrected = holm(&p, &least, tests, options.alpha);
    let all: Vec<(f64, f64)> = p.into_iter().zip(corrected).collect();
    let (wholes, of_steady) = all.split_at(measured.len());
    let mut of_steady = of_steady.iter();
    let judged = measured.into_iter().zip(wholes).map(|(one, &(p, p_corrected))| {
        let Measured { step, figure, old, new, difference, steady, .. } = one;
        let half = reach(options.alpha / intervals, difference.freedom) * difference.error();
        let of = |offset: f64| figure.change(difference.value + offset);
        let steady = steady.and_then(|one| Some(judge_steady(figure, &one, *of_steady.next()?, tests, options)));
        let decision =
            match judge(figure, &difference, half, p_corrected, compared_s, options.limits(figure, old), options.alpha)
            {
                _ if steady.as_ref().is_some_and(|one| one.worse) => Decision::Worse,
                decision => decision,
            };
        let (change, low, high) = (of(0.0), of(-half), of(half));
        Compared { step, figure, old, new, change, low, high, p, p_corrected, steady, decision }
    });
    judged.collect()
}

/// A change of a percentile of quiet seconds matters from here on.
fn matters(figure: Figure, one: &steady::Steady, options: &GateOptions) -> f64 {
    options.limits(figure, figure.unscaled(one.old)).0
}

/// How probable it is that a percentile of quiet seconds rises as much by chance, where it has truly risen by no more than
/// matters.
fn rise(one: steady::Steady, matters: f64) -> f64 {
    let beyond = one.difference.value - matters.ln_1p();
    let both = p_value(beyond / one.difference.error(), one.difference.freedom);
    if beyond > 0.0 { both / 2.0 } else { 1.0 - both / 2.0 }
}

fn judge_steady(
    figure: Figure,
    one: &steady::Steady,
    (p, p_corrected): (f64, f64),
    tests: f64,
    options: &GateOptions,
) -> Steady {
    let steady::Steady { old, new, difference } = *one;
    // Each bound is one of one side: it is missed half as often as an interval.
    let half = reach(2.0 * options.alpha / tests, difference.freedom) * difference.error();
    let of = |offset: f64| figure.change(difference.value + offset);
    let worse = p_corrected < options.alpha;
    // What is found step by step has moved by what matters at least, though the bound of a single step says less (K.
    // Strassburger and F. Bretz, "Compatible simultaneous lower confidence bounds for the Holm procedure and other Bonferroni-
    // based closed tests", 2008).
    let low = if worse { of(-half).max(matters(figure, one, options)) } else { of(-half) };
    Steady {
        old: figure.unscaled(old),
        new: figure.unscaled(new),
        change: of(0.0),
        low,
        high: of(half),
        p,
        p_corrected,
        worse,
    }
}

/// How many tests could call a change at all, once corrected for how many those are. The others need no correction: they
/// never speak (R. E. Tarone, "A modified Bonferroni method for discrete data", 1990).
fn in_question(least: &[f64], alpha: f64) -> f64 {
    let could = |tests: usize| least.iter().filter(|least| speaks(**least, alpha, tests as f64)).count();
    (1..=least.len()).find(|tests| could(*tests) <= *tests).unwrap_or(1) as f64
}

/// Whether a test can find anything among so many.
fn speaks(least: f64, alpha: f64, tests: f64) -> bool {
    least * tests < alpha
}

/// Holm's correction among the tests that can speak: the smallest is multiplied by how many there are, the next by one less,
/// and none may be below the one before it.
fn holm(p: &[f64], least: &[f64], tests: f64, alpha: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|i| speaks(least[*i], alpha, tests)).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut reached) = (vec![1.0; p.len()], 0.0_f64);
    for (rank, &i) in order.iter().enumerate() {
        reached = reached.max((p[i] * (tests - rank as f64).max(1.0)).min(1.0));
        corrected[i] = reached;
    }
    corrected
}

fn judge(
    figure: Figure,
    difference: &Estimate,
    half: f64,
    p_corrected: f64,
    compared_s: f64,
    (matters, unseen): (f64, f64),
    alpha: f64,
) -> Decision {
    let for_the_worse = if figure.more_is_better() { -1.0 } else { 1.0 };
    let change = figure.change(difference.value);
    if p_corrected < alpha && change.abs() >= matters {
        return if change * for_the_worse > 0.0 { Decision::Worse } else { Decision::Better };
    }
    // What may hide: the worse end of the interval. Relative changes are compared as logarithms, so that a rate that may have
    // fallen by 10 % counts as a time that may have risen by 11 %.
    let limit = if figure.is_relative() { unseen.ln_1p() } else { unseen };
    let worst = difference.value * for_the_worse + half;
    if worst <= limit || p_corrected < alpha {
        return Decision::Same;
    }
    // Enough would be an interval that excludes the limit, or one that excludes that there is no change.
    let worse = difference.value * for_the_worse;
    let wanted = (limit - worse).max(if worse >= matters { worse } else { 0.0 });
    let errors = half / difference.error();
    let room = (wanted / errors).powi(2) - difference.between;
    let more = compared_s * (difference.within / room - 1.0);
    let helps = room > 0.0 && more.is_finite() && more <= MAX_MORE_S;
    Decision::NotEnoughData { more_s: helps.then(|| rounded_up(more)) }
}

/// How much longer the runs must be for all of these to be sure, seconds; none if no time helps.
pub(super) fn longest<'a>(figures: impl Iterator<Item = &'a Compared>) -> Option<u64> {
    figures.into_iter().try_fold(0, |most, one| match one.decision {
        Decision::NotEnoughData { more_s } => more_s.map(|more_s| most.max(more_s)),
        _ => Some(most),
    })
}

/// A time to run longer, as people say it: whole ten seconds.
pub(super) fn rounded_up(seconds: f64) -> u64 {
    ((seconds / 10.0).ceil().max(1.0) * 10.0) as u64
}

/// The verdict over all figures, and why it is not PASS.
pub(super) fn overall<'a>(
    runs: impl Iterator<Item = &'a GateRun>,
    figures: &[Compared],
    too_rare: &[TooRare],
    options: &GateOptions,
) -> (Verdict, Vec<String>) {
    let invalid: Vec<String> = runs
        .filter_map(|run| Some(format!("the run {} is INVALID itself: {}", run.name, run.invalid.as_ref()?)))
        .collect();
    if !invalid.is_empty() {
        return (Verdict::Invalid, invalid);
    }
    let worse: Vec<String> =
        figures.iter().filter(|one| one.decision == Decision::Worse).map(super::text::said).collect();
    if !worse.is_empty() {
        return (Verdict::Fail, worse);
    }
    if figures.is_empty() {
        let more = too_rare.iter().filter_map(|rare| rare.more_s).min();
        let advice = more
            .map_or_else(String::new, |more| format!("; run both sides {} longer", format::micros(more as f64 * 1e6)));
        return (
            Verdict::Invalid,
            vec![format!("not enough data: no step ran often enough on both sides to be judged{advice}")],
        );
    }
    let unsure: Vec<&Compared> =
        figures.iter().filter(|one| matches!(one.decision, Decision::NotEnoughData { .. })).collect();
    if unsure.is_empty() {
        return (Verdict::Pass, Vec::new());
    }
    (Verdict::Invalid, vec![super::text::not_enough(&unsure, options)])
}

/// What the reader should know about how the runs were compared.
pub(super) fn notes(baselines: &[GateRun], candidates: &[GateRun], paired: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !paired && baselines.len() + candidates.len() == 2 {
        notes.push(
            "with one baseline, how much this machine differs from one run to the next is not known, and a change may be \
             of the day: give several with --base"
                .to_owned(),
        );
    }
    let left_out: u64 = baselines.iter().chain(candidates).map(|run| run.left_out).max().unwrap_or(0);
    if left_out > 0 {
        notes.push(format!(
            "{} not compared: the report keeps no histograms of those that ran least",
            format::counted(left_out, "step is", "steps are")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_and_intervals_are_those_of_the_tables() {
        // Student's t, two-sided 1 %: 2.576 for the normal distribution, 3.169 for 10, 63.66 for 1 degree of freedom.
        for (freedom, t) in [(f64::INFINITY, 2.5758), (10.0, 3.1693), (1.0, 63.657)] {
            assert!((reach(0.01, freedom) / t - 1.0).abs() < 1e-4, "{freedom}: {}", reach(0.01, freedom));
            assert!((p_value(t, freedom) - 0.01).abs() < 1e-5, "{freedom}: {}", p_value(t, freedom));
        }
        // The far end, where the correction for many figures looks: for 30 degrees, 0.01 % is 4.482.
        assert!((reach(1e-4, 30.0) - 4.482).abs() < 2e-3, "{}", reach(1e-4, 30.0));
        assert_eq!(p_value(f64::NAN, 5.0), 1.0);
        assert_eq!(p_value(f64::INFINITY, 5.0), 0.0);
    }

    #[test]
    fn holm_is_as_published() {
        // The example of his paper's procedure: 4 tests.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005], &[0.0; 4], 4.0, 0.05);
        for (found, truth) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - truth).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.5, 0.9], &[0.0; 2], 2.0, 0.05), [1.0, 1.0]);
    }

    #[test]
    fn what_can_never_speak_is_not_corrected_for() {
        // Two that can; two that a level of 0.05 / 2 is too little for.
        let least = [0.0, 0.03, 1.0, 0.01];
        assert_eq!(in_question(&least, 0.05), 2.0);
        assert_eq!(holm(&[0.02, 0.03, 1.0, 0.01], &least, 2.0, 0.05), [0.02, 1.0, 1.0, 0.02]);
        // Three of which each can among three, and a fourth that could if it were alone.
        assert_eq!(in_question(&[0.01, 0.01, 0.01, 0.04], 0.05), 3.0);
        assert_eq!((in_question(&[], 0.05), in_question(&[1.0], 0.05)), (1.0, 1.0));
    }

    fn estimate(value: f64, error: f64) -> Estimate {
        Estimate { value, within: error * error, between: 0.0, freedom: 1e9, length: 1 }
    }

    fn decision(figure: Figure, difference: Estimate) -> Decision {
        let p = p_value(difference.value / difference.error(), difference.freedom);
        let measured = Measured {
            step: "tick".into(),
            figure,
            old: 20_000.0,
            new: 20_000.0,
            difference,
            p,
            least_p: 0.0,
            steady: None,
        };
        decide(vec![measured], 100.0, &GateOptions::default())[0].decision
    }

    fn decided(figure: Figure, change: f64, error: f64) -> Decision {
        let value = if figure.is_relative() { change.ln_1p() } else { change };
        decision(figure, estimate(value, error))
    }

    #[test]
    fn what_matters_and_is_sure_is_told() {
        assert_eq!(decided(Figure::P95, 0.05, 0.01), Decision::Worse);
        assert_eq!(decided(Figure::P95, -0.05, 0.01), Decision::Better);
        assert_eq!(decided(Figure::Rate, -0.05, 0.01), Decision::Worse);
        assert_eq!(decided(Figure::Rate, 0.05, 0.01), Decision::Better);
        assert_eq!(decided(Figure::P95, 0.02, 0.001), Decision::Same, "sure, but too small to matter");
        assert_eq!(decided(Figure::P95, 0.0, 0.02), Decision::Same);
        assert_eq!(decided(Figure::Errors, 0.005, 0.000_5), Decision::Worse);
        assert_eq!(decided(Figure::Errors, 0.000_5, 0.000_01), Decision::Same);
    }

    /// 50 % of 0.15 ms are less than the generator's own share in it, and may stay unseen too.
    #[test]
    fn what_is_less_than_the_generators_own_share_does_not_matter() {
        let options = GateOptions::default();
        assert_eq!(options.limits(Figure::P95, 20_000.0), (0.03, 0.1));
        assert_eq!(options.limits(Figure::P95, 2_000.0), (0.05, 0.1));
        assert_eq!(options.limits(Figure::P50, 150.0), (100.0 / 150.0, 100.0 / 150.0));
        assert_eq!(options.limits(Figure::Rate, 150.0), (0.03, 0.1));
        let decided = |old: f64, change: f64| {
            let difference = estimate(f64::ln_1p(change), 0.01);
            let (step, figure) = ("tick".to_owned(), Figure::P50);
            let one = Measured { step, figure, old, new: old, difference, p: 1e-9, least_p: 0.0, steady: None };
            decide(vec![one], 100.0, &options)[0].decision
        };
        assert_eq!(decided(150.0, 0.5), Decision::Same);
        assert_eq!(decided(150.0, 0.7), Decision::Worse);
        assert_eq!(decided(150_000.0, 0.05), Decision::Worse);
    }

    #[test]
    fn what_may_hide_needs_so_many_seconds() {
        // 2.576 errors of 5 % reach to 12.9 %; ln 1.1 is 9.53 %: (12.88 / 9.53)² of the time, which is 83 s more.
        assert_eq!(decided(Figure::P95, 0.0, 0.05), Decision::NotEnoughData { more_s: Some(90) });
        // An improvement needs none: what is worse does not hide in it.
        assert_eq!(decided(Figure::P95, -0.1, 0.05), Decision::Same);
        let days = Estimate { value: 0.0, within: 0.0001, between: 0.01, freedom: 1e9, length: 1 };
        let decision = decision(Figure::P95, days);
        assert_eq!(decision, Decision::NotEnoughData { more_s: None }, "more seconds do not help");
    }
}
