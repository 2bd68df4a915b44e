//! Events as API Gateway sends them (HTTP API, payload format 2.0), shortened.

use std::sync::{Arc, LazyLock};

use axum::Router;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::fake::{ARN, CHIEF, Fake, behind_gateway, launch};
use crate::api::{GatewayResponse, handle, router};

pub(super) fn event(method: &str, path: &str, arn: Option<&str>, body: Option<&str>) -> Value {
    let iam = arn.map(|arn| {
        json!({ "iam": {
            "accessKey": "AKIAEXAMPLE", "accountId": "123456789012", "callerId": "AROAEXAMPLE:ci", "cognitoIdentity": null,
            "principalOrgId": null, "userArn": arn, "userId": "AROAEXAMPLE:ci"
        } })
    });
    let mut event = json!({
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*", "content-length": "999", "content-type": "application/json",
            "host": "abc.execute-api.us-east-1.amazonaws.com", "x-amzn-trace-id": "Root=1-2-3", "authorization": "AWS4-HMAC-SHA256 …"
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "abc", "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "aws" },
            "requestId": "r", "routeKey": "ANY /{proxy+}", "stage": "$default", "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390_u64
        },
        "isBase64Encoded": false
    });
    if let Some(iam) = iam {
        event["requestContext"]["authorizer"] = iam;
    }
    if let Some(body) = body {
        event["body"] = body.into();
    }
    event
}

async fn answer(events: impl IntoIterator<Item = Value>) -> Vec<GatewayResponse> {
    let router = router(Arc::new(Fake::new()), behind_gateway().await.0);
    let mut answers = Vec::new();
    for event in events {
        answers.push(handle(router.clone(), event).await);
    }
    answers
}

#[tokio::test]
async fn a_signed_launch_is_its_principals() {
    let mut staged = event("GET", "/prod/v1/runs", ARN, None);
    staged["requestContext"]["stage"] = "prod".into();
    staged["rawQueryString"] = "state=running&limit=1".into();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, launch());
    let mut in_base64 = event("POST", "/v1/estimate", ARN, Some(&encoded));
    in_base64["isBase64Encoded"] = true.into();
    let answers = answer([event("POST", "/v1/runs", ARN, Some(&launch())), staged, in_base64]).await;
    let launched: Value = serde_json::from_str(&answers[0].body).unwrap();
    assert_eq!((answers[0].status_code, launched["by"]["name"].as_str()), (202, ARN), "{answers:?}");
    assert_eq!(answers[0].headers["content-type"], "application/json");
    let list: Value = serde_json::from_str(&answers[1].body).unwrap();
    assert_eq!(list["runs"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(answers[2].status_code, 200, "{answers:?}");
}

#[tokio::test]
async fn nobody_comes_in_by_a_header() {
    let mut forged = event("GET", "/v1/runs", None, None);
    forged["headers"]["x-principal"] = ARN.into();
    forged["headers"]["authorization"] = "Bearer lk_root_AAAA".into();
    let empty = event("GET", "/v1/runs", Some(""), None);
    for answer in answer([event("GET", "/v1/runs", None, None), forged, empty]).await {
        assert_eq!(answer.status_code, 401, "{answer:?}");
        assert!(answer.body.contains("AWS_IAM"), "{answer:?}");
    }
}

#[tokio::test]
async fn bytes_travel_in_base64_and_long_answers_are_refused() {
    let run = "/v1/runs/0000000000000abc";
    let get = |rest: &str| event("GET", &format!("{run}/{rest}"), ARN, None);
    let launch = event("POST", "/v1/runs", ARN, Some(&launch()));
    let answers = answer([launch, get("report/histograms.bin"), get("report/huge.bin"), get("events")]).await;
    assert_eq!((answers[1].body.as_str(), answers[1].is_base64_encoded), ("//4A", true));
    assert_eq!(answers[2].status_code, 413);
    assert!(answers[2].body.len() < 1_000);
    // What is there, and then the end.
    assert_eq!((answers[3].status_code, answers[3].headers["content-type"].as_str()), (200, "text/event-stream"));
}

#[tokio::test]
async fn answers_are_packed_for_who_can_unpack() {
    let run = "/v1/runs/0000000000000abc";
    let get = |rest: &str, accepts: &str| {
        let mut event = event("GET", &format!("{run}/report/{rest}"), ARN, None);
        event["headers"]["accept-encoding"] = accepts.into();
        event
    };
    let launch = event("POST", "/v1/runs", ARN, Some(&launch()));
    let all = [launch, get("huge.bin", "gzip, deflate, br"), get("odd.txt", ""), get("report.html", "gzip")];
    let answers = answer(all).await;
    // What would not pass as it is passes so.
    assert_eq!((answers[1].status_code, answers[1].headers["content-encoding"].as_str()), (200, "gzip"));
    assert!(answers[1].is_base64_encoded && answers[1].body.len() < 100_000);
    // A text that JSON makes longer than base64 does.
    assert!(answers[2].is_base64_encoded && answers[2].body.len() < 3 << 20, "{}", answers[2].body.len());
    assert!(!answers[3].headers.contains_key("content-encoding"), "it is short");
}

#[tokio::test]
async fn administrators_make_tokens_and_nobody_else() {
    let make = |arn, body| event("POST", "/v1/tokens", arn, Some(body));
    let mut forged = make(ARN, "{\"name\":\"x\"}");
    forged["headers"]["x-user-arn"] = CHIEF.into();
    forged["headers"]["authorization"] = "Bearer lk_root_AAAA".into();
    let answers = answer([
        make(CHIEF, "{\"name\":\"wall\",\"role\":\"look\"}"),
        make(CHIEF, "{\"name\":\"ops\"}"),
        make(CHIEF, "{\"name\":\"x\",\"role\":\"look\",\"admin\":true}"),
        make(ARN, "{\"name\":\"x\"}"),
        forged,
        event("GET", "/v1/tokens", CHIEF, None),
        event("GET", "/v1/tokens", ARN, None),
    ])
    .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status_code).collect();
    assert_eq!(statuses, [201, 201, 400, 403, 403, 200, 403], "{answers:?}");
    let json = |nth: usize| serde_json::from_str::<Value>(&answers[nth].body).unwrap();
    assert_eq!((json(0)["role"].as_str(), json(1)["role"].as_str()), (Some("look"), Some("launch")));
    assert_eq!((json(0)["by"].as_str(), json(3)["rule"].as_str()), (CHIEF, Some("role admin (always)")));
    assert!(json(3)["help"].as_str().unwrap().contains("Administrators"), "{}", answers[3].body);
}

#[tokio::test]
async fn what_is_no_event_is_answered_too() {
    let mut old = event("GET", "/v1/health", ARN, None);
    old["version"] = "1.0".into();
    let mut path = event("GET", "not a path", ARN, None);
    path["rawPath"] = "\u{0}".into();
    let mut body = event("POST", "/v1/runs", ARN, Some("???"));
    body["isBase64Encoded"] = true.into();
    for answer in answer([json!({}), json!(null), old, path, body]).await {
        assert_eq!(answer.status_code, 400, "{answer:?}");
        assert!(answer.body.contains("payload format 2.0") || answer.body.contains("error"), "{answer:?}");
    }
}

/// Made once, because the document is made with it.
static ROUTER: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fake = Arc::new(Fake::new());
    let access = runtime.block_on(behind_gateway()).0;
    (runtime, router(fake, access))
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_event_makes_it_panic(path in "\\PC{0,40}", query in "\\PC{0,20}", method in "\\PC{0,8}", body in "\\PC{0,40}", coded: bool) {
        let (runtime, router) = &*ROUTER;
        let mut event = event(&method, &path, ARN, Some(&body));
        event["rawQueryString"] = query.into();
        event["isBase64Encoded"] = coded.into();
        let answer = runtime.block_on(handle(router.clone(), event));
        prop_assert!(answer.status_code != 500);
    }
}
