use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

const RANGE: Range = Range { start: 10, max: 10_000, unit: 1, tolerance: 0.05 };

/// Searches with what `look` sees, to the end.
fn search(range: Range, mut look: impl FnMut(u64) -> Observation) -> Search {
    let mut search = Search::new(range).unwrap();
    while let Some(probe) = search.next() {
        assert!(probe.load <= range.max && probe.load > 0, "{probe:?} of {range:?}");
        search.observe(probe.load, look(probe.load));
    }
    search
}

fn up_to(limit: u64) -> impl Fn(u64) -> Observation {
    move |load| if load <= limit { Observation::Held } else { Observation::Missed }
}

fn loads(search: &Search) -> Vec<u64> {
    search.trials().iter().map(|trial| trial.load).collect()
}

#[test]
fn it_doubles_then_halves_and_asks_both_ends_again() {
    let search = search(Range { max: 500, ..RANGE }, up_to(100));
    assert_eq!(loads(&search)[..5], [10, 20, 40, 81, 166][..]);
    let answer = search.answer();
    let (held, missed) = (answer.held.unwrap(), answer.missed.unwrap());
    assert!(held <= 100 && 100 < missed && missed as f64 <= held as f64 * 1.05, "{answer:?}");
    assert_eq!((answer.top, answer.settled, answer.verdict()), (Top::Server, true, crate::Verdict::Pass));
    let (again, once): (Vec<_>, Vec<_>) =
        loads(&search).into_iter().partition(|load| loads(&search).iter().filter(|other| *other == load).count() == 2);
    assert_eq!((again.len(), once.len()), (4, loads(&search).len() - 4));
    assert!(again.contains(&held) && again.contains(&missed));
}

#[test]
fn a_wide_range_is_crossed_in_greater_steps() {
    let search = Search::new(Range { max: 10_000_000, ..RANGE }).unwrap();
    assert_eq!(search.expected_probes(), 12);
    let stairs: Vec<u64> = search.stairs.iter().map(|stair| search.ladder.load(*stair)).collect();
    assert_eq!(stairs.last(), Some(&10_000_000));
    assert!(stairs[0] > 20 && stairs[0] < 500, "{stairs:?}");
    let narrow = Search::new(Range { max: 300, ..RANGE }).unwrap();
    assert_eq!(narrow.ladder.load(narrow.stairs[0]), 20);
}

#[test]
fn the_safety_limit_is_never_passed_and_said() {
    let search = search(Range { start: 30, max: 100, ..RANGE }, up_to(1_000));
    assert_eq!(loads(&search), [30, 60, 100, 100]);
    let answer = search.answer();
    assert_eq!((answer.held, answer.missed, answer.top), (Some(100), None, Top::SafetyLimit));
    assert_eq!(answer.verdict(), crate::Verdict::Pass);
}

#[test]
fn what_holds_nothing_is_below_the_least() {
    let search = search(RANGE, up_to(0));
    assert_eq!(loads(&search)[..2], [10, 10]);
    let answer = search.answer();
    assert_eq!((answer.held, answer.missed, answer.settled), (None, Some(1), true));
    assert_eq!(answer.verdict(), crate::Verdict::Fail);
}

#[test]
fn a_cold_server_at_the_start_does_not_send_it_down() {
    let mut first = true;
    let search = search(RANGE, |load| if std::mem::take(&mut first) { Observation::Missed } else { up_to(200)(load) });
    assert_eq!(loads(&search)[..3], [10, 10, 10]);
    assert!(search.answer().held.is_some_and(|held| (191..=200).contains(&held)), "{:?}", search.answer());
}

#[test]
fn a_generator_that_gives_out_ends_the_way_up() {
    let gives_out = |load| if load > 700 { Observation::Invalid } else { Observation::Held };
    let search = search(RANGE, gives_out);
    let answer = search.answer();
    assert_eq!((answer.top, answer.missed, answer.verdict()), (Top::Generator, None, crate::Verdict::Invalid));
    assert!(answer.held.is_some_and(|held| (667..=700).contains(&held)), "{answer:?}");
    assert!(answer.ceiling.is_some_and(|ceiling| ceiling > 700), "{answer:?}");
}

#[test]
fn a_generator_that_was_disturbed_once_is_asked_again_at_once() {
    let mut first = true;
    let search = search(Range { max: 500, ..RANGE }, |load| match load {
        40 if std::mem::take(&mut first) => Observation::Invalid,
        load => up_to(100)(load),
    });
    assert_eq!(loads(&search)[..6], [10, 20, 40, 40, 81, 166]);
    assert_eq!(search.answer().top, Top::Server);
}

#[test]
fn what_the_server_showed_outweighs_a_generator_that_was_disturbed() {
    // At both ends of the answer it is disturbed when they are asked again.
    let mut asked = BTreeMap::new();
    let search = search(Range { max: 500, ..RANGE }, |load| {
        let n = asked.entry(load).or_insert(0);
        *n += 1;
        if *n == 2 { Observation::Invalid } else { up_to(100)(load) }
    });
    let answer = search.answer();
    assert_eq!((answer.top, answer.verdict(), answer.surely_held), (Top::Server, crate::Verdict::Pass, answer.held));
    assert!(answer.held.is_some_and(|held| (96..=100).contains(&held)), "{answer:?}");
}

#[test]
fn a_generator_that_gives_out_above_the_server_s_limit_is_no_matter() {
    let gives_out = |load| if load > 700 { Observation::Invalid } else { up_to(500)(load) };
    let search = search(RANGE, gives_out);
    let answer = search.answer();
    assert_eq!((answer.top, answer.ceiling), (Top::Server, None));
    assert!(answer.held.is_some_and(|held| (476..=500).contains(&held)), "{answer:?}");
}

#[test]
fn one_false_miss_on_the_way_up_costs_probes_and_not_the_truth() {
    for fluke in 0..8 {
        let mut n = 0;
        let search = search(RANGE, |load| {
            n += 1;
            if n == fluke + 1 { Observation::Missed } else { up_to(3_000)(load) }
        });
        let answer = search.answer();
        assert!(answer.settled, "{fluke}: {:?}", loads(&search));
        assert!(answer.held.is_some_and(|held| (2_857..=3_000).contains(&held)), "{fluke}: {answer:?}");
    }
}

#[test]
fn an_unfinished_search_says_so() {
    let mut search = Search::new(RANGE).unwrap();
    assert_eq!((search.answer().top, search.answer().settled), (Top::Unknown, false));
    search.observe(10, Observation::Held);
    search.observe(11_111, Observation::Missed);
    assert_eq!(search.trials().len(), 1, "nobody asked for 11,111");
    let answer = search.answer();
    assert_eq!((answer.held, answer.settled, answer.verdict()), (Some(10), false, crate::Verdict::Invalid));
}

proptest! {
    #[test]
    fn any_limit_is_found_within_the_tolerance_in_twelve_probes(
        start in 1_u64..10_000, above in 0_u64..1_000_000, unit in 1_u64..6, share in 0.0..1.2_f64, low in any::<bool>(),
    ) {
        let start = start.max(unit);
        let range = Range { start, max: start + above, unit, tolerance: 0.05 };
        let limit = if low { (start as f64 * share) as u64 } else { ((start + above) as f64 * share) as u64 };
        let search = search(range, up_to(limit));
        prop_assert!(search.trials().len() <= 12, "{} probes: {:?}", search.trials().len(), loads(&search));
        let answer = search.answer();
        prop_assert!(answer.settled);
        match (answer.held, answer.missed) {
            (Some(held), Some(missed)) => {
                prop_assert!(held <= limit && limit < missed, "{:?}", answer);
                prop_assert!(missed - held <= unit || missed as f64 <= held as f64 * 1.05 + 1e-6, "{:?}", answer);
            }
            (Some(held), None) => prop_assert!(held <= limit && held + unit > range.max, "{:?}", answer),
            (None, Some(missed)) => prop_assert!(limit < missed && missed == unit, "{:?}", answer),
            (None, None) => prop_assert!(false, "{:?}", answer),
        }
        prop_assert_eq!((answer.surely_held, answer.surely_missed), (answer.held, answer.missed));
    }

    #[test]
    fn finer_tolerances_take_as_many_probes_as_it_says(
        max in 1_000_u64..10_000_000, tolerance in 0.001..0.05_f64, share in 0.0..1.0_f64,
    ) {
        let limit = (max as f64).powf(share) as u64;
        let search = search(Range { start: 1_000, max, unit: 1, tolerance }, up_to(limit));
        prop_assert!(search.answer().settled && search.trials().len() <= search.expected_probes());
    }

    #[test]
    fn whatever_is_seen_it_ends_within_its_bound_and_below_the_limit(
        seen in prop::collection::vec(0..3_u8, 64), start in 1_u64..500, max in 500_u64..100_000,
    ) {
        let mut seen = seen.into_iter().cycle();
        let search = search(Range { start, max, ..RANGE }, |_| match seen.next() {
            Some(0) => Observation::Held,
            Some(1) => Observation::Missed,
            _ => Observation::Invalid,
        });
        prop_assert!(search.trials().len() <= search.max_probes());
        prop_assert!(loads(&search).iter().all(|load| *load <= max));
        let answer = search.answer();
        prop_assert!(answer.held.is_none() || answer.missed.is_none() || answer.held < answer.missed);
    }
}

/// A thousand searches for limits all over the range, with observations that are a matter of chance near the limit, and
/// with this share of flukes anywhere. How many came to their end, and how many of their intervals hold the truth.
fn noisy(spread: f64, flukes: f64) -> (u32, u32, usize) {
    let mut rng = Pcg64Mcg::seed_from_u64(4);
    let (mut settled, mut right, mut most) = (0, 0, 0);
    for _ in 0..1_000 {
        let limit = 10.0 * 1_000_f64.powf(rng.random::<f64>());
        let search = search(RANGE, |load| {
            // The chance to hold falls from all to nothing around the limit, by the logistic function.
            let holds = 1.0 / (1.0 + ((load as f64 / limit).ln() / spread).exp());
            let held = rng.random::<f64>() < holds;
            let fluke = held && rng.random::<f64>() < flukes;
            if held && !fluke { Observation::Held } else { Observation::Missed }
        });
        let answer = search.answer();
        most = most.max(search.trials().len());
        settled += u32::from(answer.settled);
        let above = answer.surely_held.is_none_or(|held| held as f64 <= limit);
        let below = answer.surely_missed.is_none_or(|missed| limit <= missed as f64);
        right += u32::from(above && below);
    }
    (settled, right, most)
}

#[test]
fn noise_near_the_limit_leaves_the_truth_in_the_interval() {
    for (spread, flukes, least) in [(0.005, 0.0, 0), (0.01, 0.0, 0), (0.02, 0.0, 0), (0.01, 0.03, 0), (0.001, 0.05, 0)]
    {
        let (settled, right, most) = noisy(spread, flukes);
        println!("{spread} {flukes}: settled {settled}, right {right} of 1000, {most} probes");
        assert!(right >= least && most <= 20);
    }
}
