use loadkit_core::TrendDelta;

use super::*;
use crate::testing::{delta, labels, second};

fn text(intervals: &[Interval]) -> (String, u64) {
    let mut registry = Registry::new(&labels());
    let left_out = intervals.iter().map(|interval| registry.add(interval)).sum();
    (registry.text(), left_out)
}

fn value<'a>(text: &'a str, series: &str) -> &'a str {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).rsplit_once(' ').unwrap().1
}

#[test]
fn intervals_add_up_to_counters_and_histograms() {
    let (text, left_out) = text(&[second(), second()]);
    assert_eq!(left_out, 0);
    for (series, is) in [
        (r#"loadkit_run_info{run="00ff",scenario="arena",target="127.0.0.1:4000",seed="7",version="0.1.0"}"#, "1"),
        ("loadkit_run_covered_seconds", "2"),
        ("loadkit_players_connected", "9"),
        ("loadkit_players_started_total", "6"),
        ("loadkit_players_failed_total", "2"),
        (r#"loadkit_players_failed_by_kind_total{kind="timed-out"}"#, "2"),
        (r#"loadkit_step_response_seconds_bucket{step="login",le="0.001"}"#, "2"),
        (r#"loadkit_step_response_seconds_bucket{step="login",le="0.002"}"#, "4"),
        (r#"loadkit_step_response_seconds_bucket{step="login",le="0.2"}"#, "6"),
        (r#"loadkit_step_response_seconds_bucket{step="login",le="0.3"}"#, "8"),
        (r#"loadkit_step_response_seconds_bucket{step="login",le="+Inf"}"#, "8"),
        (r#"loadkit_step_response_seconds_count{step="login"}"#, "8"),
        (r#"loadkit_step_response_seconds_sum{step="login"}"#, "0.512"),
        (r#"loadkit_step_failed_total{step="login"}"#, "4"),
        (r#"loadkit_step_failed_by_kind_total{step="login",kind="refused"}"#, "4"),
        (r#"loadkit_step_failed_by_persona_total{step="login",persona="casual"}"#, "0"),
        (r#"loadkit_step_response_by_persona_seconds_count{step="login",persona="casual"}"#, "2"),
        (r#"loadkit_net_rtt_seconds_bucket{le="0.0001"}"#, "2"),
        (r#"loadkit_game_gold_spent_bucket{le="0"}"#, "2"),
        ("loadkit_net_packets_sent_total", "1000"),
        (r#"loadkit_net_packets_sent_by_protocol_total{protocol="rudp"}"#, "800"),
        ("loadkit_game_depth", "-1.5"),
        ("loadkit_prometheus_left_out_total", "0"),
    ] {
        assert_eq!(value(&text, series), is, "{series}");
    }
    let types = text.lines().filter(|line| line.starts_with("# TYPE loadkit_step_response_seconds "));
    assert_eq!(types.collect::<Vec<_>>(), ["# TYPE loadkit_step_response_seconds histogram"]);
}

#[test]
fn what_labels_hold_is_escaped() {
    let step = second().steps["login"].clone();
    let odd = Interval { steps: [("a\"b\\c\nd".to_owned(), step)].into(), ..Interval::default() };
    assert_eq!(value(&text(&[odd]).0, r#"loadkit_step_response_seconds_count{step="a\"b\\c\nd"}"#), "4");
}

#[test]
fn two_that_would_be_one_are_not_added_up() {
    let trends = [("gold".to_owned(), TrendDelta { unit: TrendUnit::Number, values: delta(&[1]) })].into();
    let counts = [("a b".to_owned(), 1), ("a_b".to_owned(), 10), ("gold".to_owned(), 5)].into();
    let gauges =
        [("gold".to_owned(), crate::testing::gauge(1.0)), ("gold_count".to_owned(), crate::testing::gauge(1.0))];
    let (text, left_out) = text(&[Interval { trends, counts, gauges: gauges.into(), ..Interval::default() }]);
    assert_eq!(value(&text, "loadkit_game_a_b_total"), "1");
    assert_eq!((value(&text, "loadkit_game_gold_total"), value(&text, "loadkit_game_gold_count")), ("5", "1"));
    assert_eq!((left_out, value(&text, "loadkit_prometheus_left_out_total")), (3, "3"), "a_b, and both gauges");
    assert!(!text.contains("# TYPE loadkit_game_gold gauge"));
}

#[test]
fn series_are_bounded() {
    let kinds = (0..1_000).map(|n| (format!("kind-{n}"), 1)).collect::<BTreeMap<_, _>>();
    let step = crate::interval::StepFigures { failures: kinds, ..Default::default() };
    let steps = (0..10).map(|n| (format!("s{n}"), step.clone())).collect();
    let (text, left_out) = text(&[Interval { steps, ..Interval::default() }]);
    let series = text.lines().filter(|line| line.starts_with("loadkit_step_failed_by_kind_total")).count();
    assert!((1_900..=MAX_SERIES).contains(&series), "{series}");
    assert!(left_out > 7_000, "{left_out}");
}
