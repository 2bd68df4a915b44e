//! Seconds since 1970 to the three ways in which AWS writes a date, and back.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_S: u64 = 86_400;

/// `20150830T123600Z`, as requests are dated.
pub(crate) fn basic(since_1970_s: u64) -> String {
    let (year, month, day) = date(since_1970_s / DAY_S);
    let s = since_1970_s % DAY_S;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, as answers are dated (RFC 9110, 5.6.7).
pub(crate) fn parse_http(text: &str) -> Option<u64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = 1 + MONTHS.iter().position(|month| *month == name)?;
    let year = words.next()?.parse().ok()?;
    let time = words.next()?;
    (words.next()? == "GMT").then_some(())?;
    seconds(year, u64::try_from(month).ok()?, day, time)
}

/// Reads `2026-11-23T12:00:00Z`, with or without fractions of a second, as credentials say when they end.
pub(crate) fn parse_iso(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut numbers = date.splitn(3, '-').map(|number| number.parse().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    seconds(year, month, day, time.split('.').next()?)
}

fn seconds(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let mut numbers = time.splitn(3, ':').map(|number| number.parse::<u64>().ok());
    let (h, m, s) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let sane = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (sane && h < 24 && m < 60 && s <= 60).then(|| days(year, month, day) * DAY_S + h * 3600 + m * 60 + s)
}

/// Days since 1970. Years begin in March, so that the day that some years have more is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (153 * month + 2) / 5 + day - 719_469
}

/// The date of a day since 1970.
fn date(day: u64) -> (u64, u64, u64) {
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| days(year, month, 1) <= day).unwrap_or(1);
    (year, month, day - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_the_standards_are_read() {
        assert_eq!(parse_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_iso("2000-02-29T12:00:01Z"), Some(951_825_601));
        assert_eq!(parse_iso("2000-03-01T00:00:00.123Z"), Some(951_868_800));
        assert_eq!(basic(1_440_938_160), "20150830T123600Z");
        assert_eq!(basic(0), "19700101T000000Z");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 0 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse_http(text), None, "{text}");
        }
        for text in ["", "2000-13-01T00:00:00Z", "2000-01-01T24:00:00Z", "0000-01-01T00:00:00Z", "2000-01-01"] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_read_as_it_was_written(s in 0_u64..253_402_300_800) {
            let text = basic(s);
            let (d, t) = text.trim_end_matches('Z').split_once('T').unwrap();
            let iso = format!("{}-{}-{}T{}:{}:{}Z", &d[..4], &d[4..6], &d[6..], &t[..2], &t[2..4], &t[4..]);
            prop_assert_eq!(parse_iso(&iso), Some(s));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = (parse_iso(&text), parse_http(&text));
        }
    }
}
