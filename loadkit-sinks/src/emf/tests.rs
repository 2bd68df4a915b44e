use proptest::prelude::*;

use super::*;
use crate::testing::{delta, labels, second};

/// Keeps to the format: what CloudWatch would refuse is refused here.
fn check(document: &Value) {
    let aws = &document["_aws"];
    assert!(aws["Timestamp"].is_u64());
    let [directive] = aws["CloudWatchMetrics"].as_array().unwrap().as_slice() else { panic!("one directive") };
    let namespace = directive["Namespace"].as_str().unwrap();
    assert!((1..=1_024).contains(&namespace.len()));
    for key in directive["Dimensions"][0].as_array().unwrap() {
        let value = document[key.as_str().unwrap()].as_str().expect("a dimension is a text beside the metrics");
        assert!((1..=1_024).contains(&value.chars().count()));
    }
    let metrics = directive["Metrics"].as_array().unwrap();
    assert!((1..=MAX_METRICS).contains(&metrics.len()));
    for metric in metrics {
        let target = &document[metric["Name"].as_str().unwrap()];
        if target.is_number() {
            continue;
        }
        let (values, counts) = (target["Values"].as_array().unwrap(), target["Counts"].as_array().unwrap());
        assert!(values.len() <= MAX_VALUES && values.len() == counts.len());
        let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(target["Count"].as_u64().unwrap(), sum);
        let (min, max) = (target["Min"].as_f64().unwrap(), target["Max"].as_f64().unwrap());
        assert!(values.iter().all(|value| (min..=max).contains(&value.as_f64().unwrap())));
    }
}

#[test]
fn steps_and_parts_have_dimensions_and_distributions() {
    let documents = documents(&second(), &labels());
    documents.iter().for_each(check);
    let of_login =
        documents.iter().find(|document| document["step"] == "login" && document["persona"].is_null()).unwrap();
    assert_eq!(of_login["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["scenario", "step"]]));
    assert_eq!(of_login["_aws"]["Timestamp"], 1_700_000_002_000_u64);
    let response = &of_login["loadkit.step.response"];
    assert_eq!(response["Values"], json!([1_000, 2_000, 3_000, 250_000]));
    assert_eq!((&response["Counts"], &response["Sum"]), (&json!([1, 1, 1, 1]), &json!(256_000.0)));
    assert_eq!(of_login["loadkit.step.failed"], 2);
    let part = documents.iter().find(|document| document["persona"] == "casual").unwrap();
    assert_eq!(part["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["scenario", "step", "persona"]]));
    let whole = documents.iter().find(|document| document["step"].is_null() && document["protocol"].is_null()).unwrap();
    assert_eq!((&whole["scenario"], &whole["loadkit.net.packets_sent"]), (&json!("arena"), &json!(500)));
}

#[test]
fn more_than_a_hundred_metrics_are_in_several_documents() {
    let counts = (0..250).map(|n| (format!("c{n}"), n)).collect();
    let documents = documents(&Interval { counts, ..Interval::default() }, &labels());
    documents.iter().for_each(check);
    assert_eq!(documents.len(), 3);
    assert_eq!(documents.iter().filter(|document| document["loadkit.game.c249"] == 249).count(), 1);
}

proptest! {
    #[test]
    fn distributions_keep_to_the_bound_and_lose_nothing(values in prop::collection::vec(0_u64..1 << 40, 1..400)) {
        let delta = delta(&values);
        let counts = [("x".to_owned(), loadkit_core::TrendDelta { unit: TrendUnit::Micros, values: delta.clone() })].into();
        let documents = documents(&Interval { trends: counts, ..Interval::default() }, &labels());
        documents.iter().for_each(check);
        let target = documents.iter().find_map(|document| document.get("loadkit.game.x")).unwrap();
        prop_assert_eq!(target["Count"].as_u64(), Some(values.len() as u64));
        prop_assert_eq!(target["Max"].as_u64(), values.iter().max().copied());
    }
}
