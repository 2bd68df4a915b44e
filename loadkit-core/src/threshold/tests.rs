use super::*;
use proptest::prelude::*;

#[test]
fn reads_and_writes() {
    let table = [
        ("p99(login) < 250ms", "p99(login) < 250ms"),
        ("  p99.9 ( login , service )<=1.5s ", "p99.9(login, service) <= 1.5s"),
        ("p50(login, response) < 1m30s", "p50(login) < 1m30s"),
        ("mean(snapshot_age) < 100", "mean(snapshot_age) < 100"),
        ("max(\"buy item\") < 20us", "max(\"buy item\") < 20us"),
        ("errors(login) < 0.1%", "errors(login) < 0.1%"),
        ("errors < 0.05", "errors < 0.05"),
        ("rate(move)>9000/s", "rate(move) > 9000/s"),
        ("rate(buy) >= 0.5/m", "rate(buy) >= 0.5/m"),
        ("count(match/found) >= 10", "count(match/found) >= 10"),
        ("p100(a) < 1s", "p100(a) < 1s"),
        ("p99.9(login) over 30s < 1s", "p99.9(login) over 30s < 1s"),
        ("p99(login) after 1m over 90s<1s", "p99(login) over 1m30s after 1m < 1s"),
        ("errors(login{persona=casual}) after 30s < 1%", "errors(login{persona=casual}) after 30s < 1%"),
        ("last(queue) < 100", "last(queue) < 100"),
        ("min(players) after 1m > 5", "min(players) after 1m > 5"),
        ("drift(loadkit.memory) < 1%/h", "drift(loadkit.memory) < 1%/h"),
        ("drift( p95(login, service) ) after 10m < 0.5%/m", "drift(p95(login, service)) after 10m < 0.5%/m"),
        ("drift(\"errors\") < 1%/h", "drift(\"errors\") < 1%/h"),
        ("drift(errors) < 1%/h", "drift(errors) < 1%/h"),
        ("drift(p95) < 1%/h", "drift(p95) < 1%/h"),
        ("errors < 5% else abort", "errors < 5% else abort"),
        ("errors < 5% else abort after 10s", "errors < 5% else abort"),
        ("rate(move) over 10s > 9000/s else abort after 1m", "rate(move) over 10s > 9000/s else abort after 1m"),
    ];
    for (text, written) in table {
        assert_eq!(Threshold::parse(text).expect(text).to_string(), written);
    }
}

#[test]
fn has_parts() {
    let threshold = Threshold::parse("p99.9(login, service) <= 250ms").unwrap();
    let metric = threshold.metric();
    assert_eq!(metric.stat(), Stat::Percentile(Percentile::from_thousandths(99_900).unwrap()));
    assert_eq!((metric.name(), metric.clock(), metric.unit()), (Some("login"), Clock::Service, Unit::Micros));
    assert_eq!(threshold.limit().value(), 250_000.0);
    assert_eq!(Threshold::parse("rate(a) > 30/m").unwrap().limit().value(), 0.5);
    assert_eq!(Threshold::parse("errors(a) < 5%").unwrap().limit().value(), 0.05);
    assert_eq!(Threshold::parse("errors < 5%").unwrap().metric().name(), None);
    assert_eq!(Threshold::parse("p50(a) < 5").unwrap().metric().unit(), Unit::Plain);
    let soak = Threshold::parse("drift(rss) after 1m < 1%/m else abort after 5m").unwrap();
    assert!(soak.metric().is_drift() && soak.metric().unit() == Unit::PerHour);
    assert_eq!((soak.limit().value(), soak.over()), (0.6, None));
    assert_eq!((soak.after(), soak.abort()), (Some(Duration::from_secs(60)), Some(Duration::from_secs(300))));
}

#[test]
fn compares() {
    let table = [
        ("<", [true, false, false]),
        ("<=", [true, true, false]),
        (">", [false, false, true]),
        (">=", [false, true, true]),
    ];
    for (symbol, expected) in table {
        let threshold = Threshold::parse(&format!("p99(a) {symbol} 1ms")).unwrap();
        assert_eq!([999.0, 1000.0, 1001.0].map(|x| threshold.holds(x)), expected, "{symbol}");
        assert!(!threshold.holds(f64::NAN));
    }
}

#[test]
fn refuses_with_the_place_and_the_remedy() {
    // The text, what is underlined, and parts of the message and of the help.
    let table = [
        ("", "", "metric is missing", "p99(login)"),
        ("p99 < 1s", "p99", "`p99` of what?", "p99(login)"),
        ("p99() < 1s", ")", "name is missing", "p99(login)"),
        ("p101(a) < 1s", "p101", "no percentile", "up to 100"),
        ("p0(a) < 1s", "p0", "no percentile", "above 0"),
        ("p99.9999(a) < 1s", "p99.9999", "no percentile", "three decimals"),
        ("median(a) < 1s", "median", "unknown metric", "p50"),
        ("eror(a) < 1%", "eror", "unknown metric", "errors"),
        ("cuont(a) < 1", "cuont", "unknown metric", "count"),
        ("p99(a, client) < 1s", "client", "which time", "service"),
        ("rate(a, service) < 1/s", "service", "no time", "leave"),
        ("p99(buy item) < 1s", "i", "`)` is missing", "quotes"),
        ("p99(\"buy) < 1s", "\"buy) < 1s", "does not end", "quote"),
        ("p99(a) over < 1s", "over", "without a time", "over 30s"),
        ("p99(a) over 5 parsecs < 1s", "5", "without a unit", "over 30s"),
        ("p99(a) over 0s < 1s", "0s", "no time at all", "over 30s"),
        ("p99(a) after 1m after 2m < 1s", "after", "twice", "leave"),
        ("p99(a) above 1m < 1s", "a", "comparison is missing", "<="),
        ("drift < 1%/h", "drift", "of what", "drift(memory)"),
        ("drift(drift(a)) < 1%/h", "drift", "drift of a drift", "drift(memory)"),
        ("drift(rss) < 1%", "1%", "per what", "1%/h"),
        ("drift(rss) < 1/h", "1/h", "no change", "1%/h"),
        ("drift(eror(a)) < 1%/h", "eror", "unknown metric", "errors"),
        ("last(a) < 5ms", "5ms", "no number", "1000"),
        ("last(a, service) < 5", "service", "no time", "leave"),
        ("errors < 5% or abort", "5% or abort", "no share", "0.1%"),
        ("errors < 5% else stop", "else stop", "followed by something", "else abort"),
        ("errors < 5% else abort in 5s", "in", "unknown word", "after 1m"),
        ("errors < 5% else abort after 5s please", "please", "nothing may follow", "leave"),
        ("p99(a) 1s", "1", "comparison is missing", "<="),
        ("p99(a) == 1s", "==", "unknown comparison", "<="),
        ("p99(a) =< 1s", "=<", "unknown comparison", "<="),
        ("p99(a) <", "", "limit is missing", "250ms"),
        ("p99(a) < 5 parsecs", "5 parsecs", "unknown unit", "250ms"),
        ("p99(a) < 5%", "5%", "is a time", "250ms"),
        ("p99(a) < -5ms", "-5ms", "negative", "250ms"),
        ("p99(a, service) < 5", "p99(a, service) < 5", "plain number", "time"),
        ("errors(a) < 200%", "200%", "above 100%", "0.1%"),
        ("errors(a) < 5", "5", "above 100%", "0.1%"),
        ("errors(a) < 5ms", "5ms", "no share", "0.1%"),
        ("rate(a) > 9000", "9000", "per what", "9000/s"),
        ("rate(a) > x/s", "x/s", "no rate", "9000/s"),
        ("count(a) > 5/s", "5/s", "no number", "1000"),
        ("count(a) > 1e999", "1e999", "no number", "1000"),
    ];
    for (text, fault, message, help) in table {
        let error = Threshold::parse(text).expect_err(text);
        assert_eq!(text.get(error.span()), Some(fault), "{error}");
        assert!(error.message().contains(message), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains(help)), "{error}");
    }
}

#[test]
fn shows_a_caret_under_the_fault() {
    let error = Threshold::parse("p99(login) over 30x < 1s").unwrap_err().to_string();
    assert!(error.contains("p99(login) over 30x < 1s\n  |                 ^^^\n"), "{error}");
    assert!(Threshold::parse(&"é".repeat(400)).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn values_read_well() {
    let table = [
        (Unit::Micros, 212_512.0, "212.51ms"),
        (Unit::Micros, 950.0, "950us"),
        (Unit::Micros, 12_345_678.0, "12.345s"),
        (Unit::Fraction, 0.001_25, "0.125%"),
        (Unit::PerSecond, 9000.0, "9000/s"),
        (Unit::Plain, 0.0, "0"),
        (Unit::Count, 120.0, "120"),
        (Unit::Micros, f64::NAN, "0s"),
    ];
    for (unit, value, text) in table {
        assert_eq!(unit.format(value), text);
    }
}

fn any_threshold() -> impl Strategy<Value = Threshold> {
    let name = prop_oneof!["[a-z_./:-]{1,12}", "\\PC{1,12}", "[\"\\\\ a]{1,6}"];
    let comparison =
        prop::sample::select(vec![Comparison::Less, Comparison::AtMost, Comparison::More, Comparison::AtLeast]);
    let number = (0..u64::MAX, 0..19u32).prop_map(|(n, e)| n as f64 / 10f64.powi(e as i32));
    let time = || prop::option::of((1..100_000u64).prop_map(Duration::from_millis));
    let when = (time(), time(), time(), any::<bool>());
    (0..12u8, name, any::<bool>(), comparison, number, 1..=100_000u32, when).prop_map(
        |(kind, name, service, comparison, number, thousandths, (over, after, abort, drift))| {
            let time = Limit::Time(Duration::from_nanos(number.min(1e18) as u64));
            let percentile = Stat::Percentile(Percentile::from_thousandths(thousandths).unwrap());
            let per = Duration::from_secs(60u64.pow(u32::from(service)));
            let (stat, unit, limit) = match kind {
                0 => (percentile, Unit::Micros, time),
                1 => (Stat::Mean, Unit::Micros, time),
                2 => (Stat::Max, Unit::Plain, Limit::Number(number)),
                3 => (Stat::Errors, Unit::Fraction, Limit::Percent(number % 100.0)),
                4 | 5 => (Stat::Errors, Unit::Fraction, Limit::Number(number % 1.0)),
                6 => (Stat::Rate, Unit::PerSecond, Limit::Per(number, per)),
                7 => (Stat::Min, Unit::Micros, time),
                8 | 9 => (Stat::Last, Unit::Plain, Limit::Number(number)),
                _ => (Stat::Count, Unit::Count, Limit::Number(number)),
            };
            let is_time = unit == Unit::Micros;
            let clock = if service && is_time { Clock::Service } else { Clock::Response };
            let name = (kind != 5).then_some(name);
            let (unit, limit) = if drift { (Unit::PerHour, Limit::PercentPer(number, per)) } else { (unit, limit) };
            Threshold { metric: Metric { stat, name, clock, unit, drift }, over, after, comparison, limit, abort }
        },
    )
}

proptest! {
    #[test]
    fn writing_and_reading_agree(threshold in any_threshold()) {
        let text = threshold.to_string();
        prop_assert_eq!(Threshold::parse(&text).map_err(|e| e.to_string()), Ok(threshold));
    }

    #[test]
    fn no_text_panics(text in "((p99|mean|errors|rate|drift|over|after|else|abort|<|5%|1s|\\(a\\)|\\PC) ?){0,9}[()\", a-zé<>=%/0-9.]{0,20}") {
        if let Err(error) = Threshold::parse(&text) {
            prop_assert!(text.get(error.span()).is_some(), "{:?} of {text:?}", error.span());
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
