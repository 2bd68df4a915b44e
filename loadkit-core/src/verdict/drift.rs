//! `points -> slope`: how much a figure changes, whatever single points do.

/// With fewer points a slope says nothing.
const MIN_POINTS: usize = 10;

/// The slope through points of `(time, value)`, divided by the median value: the median of the slopes between all pairs
/// (Theil 1950, Sen 1968), which a third of the points can be far off without moving. None if there are too few points,
/// or their median is 0.
pub(super) fn drift(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < MIN_POINTS {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (i, (t, v)) in points.iter().enumerate() {
        slopes.extend(points[..i].iter().map(|(before, was)| (v - was) / (t - before)));
    }
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let middle = median(&mut values)?;
    let slope = median(&mut slopes)?;
    // What stays at 0 does not drift; what only mostly does has no measure.
    if middle == 0.0 { (slope == 0.0).then_some(0.0) } else { Some((slope / middle).abs()) }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { (upper + values.get(middle.checked_sub(1)?)?) / 2.0 } else { *upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_drifts_by_its_slope_and_outliers_do_not_matter() {
        let line: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i) / 100.0, 1_000.0 + f64::from(i))).collect();
        let exact = 100.0 / 1_049.5;
        assert!((drift(&line).unwrap() - exact).abs() < 1e-9);
        let mut noisy = line.clone();
        (0..20).for_each(|i| noisy[i * 5].1 = if i % 2 == 0 { 1e9 } else { 0.0 });
        assert!((drift(&noisy).unwrap() - exact).abs() < 0.2 * exact, "{:?}", drift(&noisy));
        let falling: Vec<(f64, f64)> = line.iter().map(|(t, v)| (*t, 2_100.0 - v)).collect();
        assert!(drift(&falling).unwrap() > 0.0, "to fall is to drift too");
    }

    #[test]
    fn too_little_says_nothing() {
        let few: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), 1.0)).collect();
        assert_eq!(drift(&few), None);
        let zeros: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), 0.0)).collect();
        assert_eq!(drift(&zeros), Some(0.0));
        let rare: Vec<(f64, f64)> = (0..21).map(|i| (f64::from(i), if i < 14 { 0.0 } else { f64::from(i) })).collect();
        assert!(drift(&rare).is_none());
    }
}
