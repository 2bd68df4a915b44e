//! Figures as people read them: `1,234`, `12.3 ms`, `0.12 %`, `1:05`. The one place for it.

use std::time::Duration;

/// A whole number with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what is counted: `1 player`, `1,234 players`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A time of so many microseconds, to three digits: `850 µs`, `12.3 ms`, `1.23 s`, `2m05s`.
pub fn micros(us: f64) -> String {
    let us = us.max(0.0);
    // The bounds are where three digits round up to the next unit.
    match us {
        _ if us < 999.5 => format!("{} µs", us.round()),
        _ if us < 999_500.0 => format!("{} ms", digits(us / 1e3)),
        _ if us < 59_950_000.0 => format!("{} s", digits(us / 1e6)),
        _ => {
            let seconds = (us / 1e6).round() as u64;
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
                (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
            }
        }
    }
}

/// [`micros`] of a duration.
pub fn time(time: Duration) -> String {
    micros(time.as_secs_f64() * 1e6)
}

/// A rate: `0.25/s`, `12.3/s`, `1,234/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", number(per_second))
}

/// A plain number, to three digits below a thousand and to whole ones above: `0.25`, `12.3`, `1,234`, `-3`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    match size {
        _ if size < 0.000_5 => {
            if size == 0.0 {
                "0".to_owned()
            } else {
                format!("{value:.1e}")
            }
        }
        _ if size < 999.5 => format!("{sign}{}", digits(size)),
        _ if size < 1e15 => format!("{sign}{}", count(size.round() as u64)),
        _ => format!("{value:.2e}"),
    }
}

/// A share as a percentage, which says 0 % and 100 % only where it is none and all: `0 %`, `0.12 %`, `99.98 %`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if !percent.is_finite() => "–".to_owned(),
        _ if percent <= 0.0 => "0 %".to_owned(),
        _ if percent < 0.01 => "<0.01 %".to_owned(),
        _ if percent >= 100.0 => format!("{} %", number(percent)),
        _ if percent > 99.99 => ">99.99 %".to_owned(),
        _ if !(0.995..99.0).contains(&percent) => format!("{percent:.2} %"),
        _ => format!("{} %", digits(percent)),
    }
}

/// A time within a run: `0:07`, `1:05`, `1:00:00`. Fractions of a second are cut off.
pub fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A size in memory: `512 B`, `12.3 MiB`.
pub fn bytes(size: f64) -> String {
    let mut size = size.max(0.0);
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1023.5 {
            return format!("{} {unit}", if unit == "B" { size.round().to_string() } else { number(size) });
        }
        size /= 1024.0;
    }
    format!("{} TiB", number(size))
}

/// A moment in seconds since 1970: `2026-03-01 14:05:09 UTC`.
pub fn moment(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`, for days after 1970.
    let z = days.min(u64::MAX / 8) + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// A text of at most `width` characters on one line: what is too long ends in `…`, and control characters are spaces.
pub fn fit(text: &str, width: usize) -> String {
    let line = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c });
    let mut fitted: String = line.clone().take(width).collect();
    if line.count() > width {
        fitted.pop();
        fitted.push('…');
    }
    fitted
}

/// A name that a bot gave, [`fit`] into so many characters; one that shows nothing is `(no name)`.
pub fn name(name: &str, width: usize) -> String {
    let fitted = fit(name, width);
    if fitted.trim().is_empty() { fit("(no name)", width) } else { fitted }
}

/// Breaks a text into lines at spaces. Words longer than a line are left to be cut.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { continue };
        let room = width.saturating_sub(last.chars().count());
        if last.is_empty() {
            last.push_str(word);
        } else if word.chars().count() < room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Characters that control a terminal, or turn the direction of a line, or are not allowed in XML.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}'..='\u{ffff}')
}

/// Three digits of a number from 0 to 999: `0.25`, `1.23`, `12.3`, `123`, without zeros at the end.
fn digits(value: f64) -> String {
    let decimals = match value {
        _ if value < 0.995 => 3,
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_numbers() {
        let table = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (n, text) in table {
            assert_eq!(count(n), text);
        }
        let table = [
            (0.0, "0"),
            (0.25, "0.25"),
            (1.0, "1"),
            (9.999, "10"),
            (12.34, "12.3"),
            (999.4, "999"),
            (999.6, "1,000"),
            (1234.5, "1,235"),
            (-3.0, "-3"),
            (f64::NAN, "–"),
            (0.000_01, "1.0e-5"),
            (1e18, "1.00e18"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
        assert_eq!(counted(1, "player", "players"), "1 player");
        assert_eq!(rate(8933.14), "8,933/s");
    }

    #[test]
    fn times() {
        let table = [
            (0.0, "0 µs"),
            (850.0, "850 µs"),
            (999.7, "1 ms"),
            (12_345.0, "12.3 ms"),
            (999_600.0, "1 s"),
            (1_234_000.0, "1.23 s"),
            (59_970_000.0, "1m00s"),
            (125_000_000.0, "2m05s"),
            (3_700_000_000.0, "1h01m"),
        ];
        for (us, text) in table {
            assert_eq!(micros(us), text);
        }
        assert_eq!(clock(Duration::from_millis(65_900)), "1:05");
        assert_eq!(clock(Duration::from_secs(3_600)), "1:00:00");
    }

    #[test]
    fn shares_round_to_none_and_all_only_where_it_is_so() {
        let table = [
            (0.0, "0 %"),
            (0.000_01, "<0.01 %"),
            (0.001_2, "0.12 %"),
            (0.5, "50 %"),
            (0.999_8, "99.98 %"),
            (0.999_999, ">99.99 %"),
            (1.0, "100 %"),
            (f64::NAN, "–"),
        ];
        for (value, text) in table {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn moments_follow_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_772_373_909, "2026-03-01 14:05:09 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59 UTC"),
        ];
        for (unix, text) in table {
            assert_eq!(moment(unix), text);
        }
        moment(u64::MAX);
    }

    #[test]
    fn texts_are_fitted_by_characters() {
        assert_eq!(fit("login", 5), "login");
        assert_eq!(fit("matchmaking", 6), "match…");
        assert_eq!(fit("ждать\nочередь", 8), "ждать о…");
        assert_eq!(fit("a\u{1b}[31mb\u{202e}", 9), "a [31mb ");
        assert_eq!(name(" \n", 16), "(no name)");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(12.0), "12 B");
    }
}
