//! "Did you mean": the known word nearest to an unknown one.

/// The nearest of the known words, if one is near enough to be meant.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word far longer than any known one is not a slip of the finger, and need not cost a large table.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let near = known.into_iter().map(|other| (distance(&word, &other.to_lowercase()), other));
    let (distance, other) = near.min_by_key(|(distance, _)| *distance)?;
    let allowed = (other.chars().count() / 3).clamp(1, 3);
    (distance <= allowed).then_some(other)
}

/// Insertions, deletions, changes and swaps of neighbours between two words: the restricted Damerau-Levenshtein
/// distance (F. Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["bots", "ramp", "duration", "thresholds", "target"];
        for (word, meant) in [
            ("bot", Some("bots")),
            ("bost", Some("bots")),
            ("treshold", Some("thresholds")),
            ("Duration", Some("duration")),
            ("durration", Some("duration")),
            ("users", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(suggest(word, known), meant, "{word}");
        }
        assert_eq!(suggest(&"b".repeat(100_000), known), None);
    }
}
