//! Where an axis has its marks: at numbers that people count in.

/// Steps of a time axis, seconds.
const TIME_STEPS_S: [u32; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];

/// Marks from 0 up to the first at or above `largest`, at most so many steps of 1, 2 or 5 times a power of ten.
pub(super) fn linear(largest: f64, most_steps: u32) -> Vec<f64> {
    let largest = if largest.is_finite() && largest > 0.0 { largest } else { 1.0 };
    let least = largest / f64::from(most_steps.max(1));
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= least * 0.999_999);
    let step = step.unwrap_or(least);
    let steps = (largest / step - 1e-9).ceil().clamp(1.0, 100.0) as u32;
    (0..=steps).map(|n| f64::from(n) * step).collect()
}

/// Marks at 1, 2 and 5 times the powers of ten, or at fewer of those, from the last at or below `smallest` to the first
/// at or above `largest`. Both must be above 0.
pub(super) fn logarithmic(smallest: f64, largest: f64) -> Vec<f64> {
    let (smallest, largest) = (smallest.max(1e-9), largest.max(smallest).max(1e-9));
    let decades = (largest / smallest).log10();
    let digits: &[f64] = if decades > 5.0 {
        &[1.0]
    } else if decades > 3.0 {
        &[1.0, 3.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let (from, to) = (smallest.log10().floor() as i32, largest.log10().ceil() as i32);
    let all: Vec<f64> = (from..=to).flat_map(|power| digits.iter().map(move |n| n * 10_f64.powi(power))).collect();
    let first = all.iter().rposition(|mark| *mark <= smallest * 1.000_001).unwrap_or(0);
    let last = all.iter().position(|mark| *mark >= largest * 0.999_999).unwrap_or(all.len() - 1);
    let mut marks = all.get(first..=last.max(first)).unwrap_or_default().to_vec();
    if marks.len() < 2 {
        marks = vec![smallest / 2.0, smallest * 2.0];
    }
    marks
}

/// Marks of a time axis from 0 to `lasted_s`, at most so many steps.
pub(super) fn time(lasted_s: f64, most_steps: u32) -> Vec<f64> {
    let fits = |step: &u32| lasted_s / f64::from(*step) <= f64::from(most_steps);
    let step = TIME_STEPS_S.into_iter().find(fits).map_or(lasted_s / f64::from(most_steps), f64::from);
    (0..=most_steps).map(|n| f64::from(n) * step).take_while(|at| *at <= lasted_s * 1.000_001).collect()
}

/// Marks of an axis of percentiles from 0 to so many nines: 0, 50 %, 90 %, 99 % and so on.
pub(super) fn nines(end: f64) -> Vec<f64> {
    let whole = (1..=9_u8).map(f64::from);
    [0.0, 2_f64.log10()].into_iter().chain(whole).take_while(|nines| *nines <= end + 1e-9).collect()
}

/// The percentile of so many nines: `50 %`, `99.9 %`.
pub(super) fn percentile(nines: f64) -> String {
    let decimals = (nines.round() - 2.0).clamp(0.0, 7.0) as usize;
    format!("{:.decimals$} %", 100.0 - 10_f64.powf(2.0 - nines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_at_round_numbers() {
        assert_eq!(linear(930.0, 5), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(linear(5.0, 5), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(linear(0.0, 5).last(), Some(&1.0));
        assert_eq!(logarithmic(120.0, 1_800.0), [100.0, 200.0, 500.0, 1_000.0, 2_000.0]);
        assert_eq!(time(90.0, 10), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]);
        assert_eq!(time(3_600.0, 10)[1], 600.0);
    }

    #[test]
    fn percentiles_are_named_as_people_do() {
        let names: Vec<String> = nines(4.2).into_iter().map(percentile).collect();
        assert_eq!(names, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    proptest! {
        #[test]
        fn marks_cover_the_values_and_are_few(small in 0.1..1e9_f64, factor in 1.0..1e9_f64) {
            let large = small * factor;
            let marks = logarithmic(small, large);
            prop_assert!(marks[0] <= small * 1.001 && marks[marks.len() - 1] >= large * 0.999);
            prop_assert!((2..16).contains(&marks.len()), "{:?}", marks);
            let marks = linear(large, 5);
            prop_assert!(marks[marks.len() - 1] >= large * 0.999 && (2..=6).contains(&marks.len()), "{:?}", marks);
            let marks = time(large, 10);
            prop_assert!((1..=11).contains(&marks.len()), "{:?}", marks);
        }
    }
}
