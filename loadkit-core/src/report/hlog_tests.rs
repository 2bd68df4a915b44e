use proptest::prelude::*;

use super::super::tests::made_up;
use super::*;
use crate::metrics::Histogram;

fn text_of(intervals: &Intervals) -> String {
    String::from_utf8(write("00a7", 1_772_373_909, Duration::from_secs(90), intervals).unwrap()).unwrap()
}

fn made_up_log() -> String {
    text_of(&made_up().intervals)
}

/// What is left of a delta in a log: its buckets.
fn buckets(delta: &HistogramDelta) -> &[(u64, u64)] {
    &delta.buckets
}

fn delta(values: &[u64]) -> HistogramDelta {
    let mut histogram = Histogram::new();
    values.iter().for_each(|value| histogram.record(*value));
    histogram.to_delta()
}

/// Intervals of one second with this name and these values.
fn of(name: &str, response: Vec<HistogramDelta>, service: HistogramDelta) -> Intervals {
    let steps = [(name.to_owned(), StepIntervals { response, service })].into();
    Intervals { width: Duration::from_secs(1), steps }
}

#[test]
fn a_run_reads_back_bucket_for_bucket() {
    let (written, log) = (made_up().intervals, read_log(&made_up_log()).unwrap());
    assert_eq!((log.run.as_str(), log.intervals.width), ("00a7", written.width));
    assert_eq!(log.intervals.steps.keys().collect::<Vec<_>>(), written.steps.keys().collect::<Vec<_>>());
    for (name, step) in &written.steps {
        let read = &log.intervals.steps[name];
        assert!(read.response.iter().map(buckets).eq(step.response.iter().map(buckets)), "{name}");
        assert_eq!(read.service.buckets, step.service.buckets);
        assert!(step.response.len() >= 90 && !step.service.buckets.is_empty());
        let (read, exact) = (read.whole_response(), step.whole_response());
        assert!((read.sum as f64 / exact.sum as f64 - 1.0).abs() < 0.001, "{} and {}", read.sum, exact.sum);
        assert!(read.min.abs_diff(exact.min) * 1_000 <= exact.min && read.max.abs_diff(exact.max) * 1_000 <= exact.max);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_values_and_names_read_back(
        name in any::<String>(),
        values in prop::collection::vec(prop::collection::vec(prop_oneof![0..5_000_u64, any::<u64>()], 0..30), 0..4),
        service in prop::collection::vec(1..100_000_000_u64, 1..30),
    ) {
        let mut response: Vec<HistogramDelta> = values.iter().map(|values| delta(values)).collect();
        while response.last().is_some_and(|last| last.buckets.is_empty()) {
            response.pop();
        }
        let written = of(&name, response, delta(&service));
        let read = read(&text_of(&written)).unwrap();
        prop_assert_eq!(read.steps.keys().collect::<Vec<_>>(), [&name]);
        let (written, read) = (&written.steps[&name], &read.steps[&name]);
        prop_assert!(read.response.iter().map(buckets).eq(written.response.iter().map(buckets)));
        prop_assert_eq!(&read.service.buckets, &written.service.buckets);
    }

}

proptest! {
    #[test]
    fn a_tag_is_one_word_and_the_names_of_all_are_different(name in any::<String>()) {
        let tag = name_to_tag(&name);
        prop_assert!(!tag.is_empty() && tag.bytes().all(|b| b.is_ascii_graphic() && !b",;#\"".contains(&b)));
        prop_assert_eq!(tag_to_name(&tag), Some(name));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let _ = read(&text);
        let mut bytes = made_up_small().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let _ = read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_histogram_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_inflated(&bytes, 100);
        let mut whole = head(bytes.len() as u32);
        whole.extend(&bytes);
        prop_assert!(decode_inflated(&whole, 10).is_none_or(|values| values.buckets.len() <= 10));
    }
}

fn made_up_small() -> String {
    text_of(&of("login", vec![delta(&[120, 130, 4_000]), delta(&[90])], delta(&[100])))
}

/// The head of a histogram of so many bytes.
fn head(length: u32) -> Vec<u8> {
    let words = [V2, length, 0, 3].into_iter().flat_map(u32::to_be_bytes);
    let rest = [1_u64, 1 << 40].into_iter().flat_map(u64::to_be_bytes);
    words.chain(rest).chain(1_f64.to_be_bytes()).collect()
}

/// A line whose histogram has this inside.
fn line(inside: &[u8]) -> String {
    use std::io::Write as _;
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    deflated.write_all(inside).unwrap();
    let deflated = deflated.finish().unwrap();
    let mut bytes = V2_COMPRESSED.to_be_bytes().to_vec();
    bytes.extend((deflated.len() as u32).to_be_bytes());
    bytes.extend(deflated);
    format!("#[IntervalWidth: 1 (seconds)]\nTag=a,0.000,1.000,1.000,{}\n#[Intervals: 1]\n", BASE64.encode(bytes))
}

#[test]
fn what_the_crate_reads_is_what_we_read() {
    let values = delta(&[1, 2, 2, 900, 2_050, 2_051, 77_777, 60_000_000]);
    let text = text_of(&of("a", vec![values.clone()], HistogramDelta::default()));
    let encoded = text.lines().find(|line| line.starts_with("Tag=a,")).unwrap().rsplit(',').next().unwrap();
    let bytes = BASE64.decode(encoded).unwrap();
    let theirs: Hdr<u64> = hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
    let theirs: Vec<(u64, u64)> =
        theirs.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect();
    assert_eq!(decode(encoded, 100).unwrap().buckets, theirs);
    assert_eq!(theirs, values.buckets);
}

#[test]
fn a_hostile_histogram_is_refused_and_costs_little() {
    let bomb = line(&vec![0; 8 << 20]);
    assert!(bomb.len() < 16 << 10);
    let zeros_beyond_all = [head(9), vec![0xff; 9]].concat();
    let long = [head(u32::MAX), vec![2]].concat();
    let past_the_end = [head(10), vec![0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2]].concat();
    let mut two_digits = [head(1), vec![2]].concat();
    two_digits[15] = 2;
    for text in [bomb, line(&zeros_beyond_all), line(&long), line(&past_the_end), line(&two_digits), line(&[])] {
        let error = read(&text).map(|read| read.steps["a"].response.len());
        match error {
            // Nothing but empty buckets is nothing.
            Ok(_) => assert_eq!(text, line(&zeros_beyond_all)),
            Err(error) => assert_eq!(error.line(), 2, "{error}"),
        }
    }
    let all = [head(2 * most_buckets() as u32), [0x82, 0x01].repeat(most_buckets())].concat();
    assert_eq!(read(&line(&all)).unwrap().steps["a"].response[0].buckets.len(), most_buckets(), "as many as there are");
    assert!(decode_inflated(&all, most_buckets() - 1).is_none(), "more than there is room for");
}

#[test]
fn errors_name_the_line_and_the_fault() {
    let log = made_up_small();
    let login = log.lines().find(|line| line.starts_with("Tag=login,")).unwrap();
    let table = [
        (String::new(), "line 1", "cut short"),
        (log[..log.len() - 1].into(), "line 10", "cut short"),
        (log.replace("#[Intervals: 3]\n", ""), "line 9", "cut short"),
        (log.replace("#[Intervals: 3]", "#[Intervals: 4]"), "line 10", "has 4 intervals and has 3"),
        (log.replace("Tag=login,", "login,"), "line 8", "`Tag=`"),
        (log.replace("Tag=login,", "Tag=lo%gin,"), "line 8", "no step's name"),
        (log.replace(login, "Tag=login,0.0,1.0"), "line 8", "must have a tag, a start"),
        (log.replace("Tag=login,1.000", "Tag=login,-1.000"), "line 9", "no time"),
        (log.replace("Tag=login,1.000", "Tag=login,90000.0"), "line 9", "more than 1024 intervals"),
        (log.replace("Tag=login,1.000", "Tag=login,0.000"), "line 9", "twice"),
        (log.replace("HISTFAAA", "HISTFBBB"), "line 7", "not as long as it says"),
        (log.replace("HISTFAAA", "HISTF,,,"), "line 7", "no base64"),
        (log.replace("HISTFAAA", "AISTFAAA"), "line 7", "encoding V2"),
        (log.replace("IntervalWidth: 1", "IntervalWidth: 0"), "line 3", "too short"),
        (log.replace("[IntervalWidth", "[Width"), "line 7", "must come before"),
        (log.clone() + "Tag=x\n", "line 11", "behind the log's end"),
    ];
    assert_eq!(log.lines().count(), 10, "{log}");
    for (text, at, why) in table {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{at}:")) && error.contains(why), "{at} {why}: {error}");
    }
}

#[test]
fn names_are_readable_where_they_can_be() {
    let table =
        [("login", "login"), ("buy {now}", "buy%20{now}"), ("a,b;c%", "a%2Cb%3Bc%25"), ("", "%"), ("ß", "%C3%9F")];
    for (name, tag) in table {
        assert_eq!(name_to_tag(name), tag);
    }
    for none in ["", "%%", "%2", "%+1", "%ff", "a%", "%e9x", "%é"] {
        assert_eq!(tag_to_name(none), None, "{none}");
    }
}

#[test]
fn more_values_than_any_run_has_are_refused() {
    let with_counts = |counts: &[u8]| {
        let mut bytes: Vec<u8> =
            [V2, counts.len() as u32, 0, DIGITS].iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend([1, 1 << 40, 1_f64.to_bits()].iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend(counts);
        decode_inflated(&bytes, 100)
    };
    // Zigzag, and seven bits a byte: 3 and 2^53, and then one more.
    let most = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    assert_eq!(with_counts(&[6]).map(|values| values.count()), Some(3));
    assert_eq!(with_counts(&most).map(|values| values.count()), Some(MAX_VALUES));
    assert_eq!(with_counts(&[&most[..], &[2]].concat()), None);
}
