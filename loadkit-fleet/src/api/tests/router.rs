//! The router without a socket.

use std::sync::LazyLock;

use axum::Router;
use axum::http::StatusCode;
use loadkit_core::RunId;
use loadkit_worker::WorkerStatus;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::fake::{Fake, RUN, ask, launch, open, with_tokens};
use crate::api::{Access, LiveEvent, LiveKind, MAX_REQUEST_BYTES, openapi_json, router};
use crate::record::RunState;

const ID: &str = "0000000000000abc";

#[tokio::test]
async fn a_run_from_launch_to_stop() {
    let (router, _) = open().await;
    let launched = ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    assert_eq!(launched.status, StatusCode::ACCEPTED, "{}", launched.text);
    assert_eq!(launched.headers["location"], format!("/v1/runs/{ID}"));
    assert_eq!(launched.json()["by"]["name"], "local");
    assert_eq!(launched.headers["x-content-type-options"], "nosniff");

    let shown = ask(&router, "GET", &format!("/v1/runs/{ID}"), &[], "").await;
    assert_eq!((shown.status, shown.json()), (StatusCode::OK, launched.json()));
    let list = ask(&router, "GET", "/v1/runs?state=running&limit=5", &[], "").await;
    assert_eq!(list.json()["runs"].as_array().unwrap().len(), 1);
    let none = ask(&router, "GET", "/v1/runs?state=ended", &[], "").await;
    assert!(none.json()["runs"].as_array().unwrap().is_empty());

    let dialled = ask(&router, "POST", &format!("/v1/runs/{ID}/dial"), &[], "{\"dial\":1.5}").await;
    assert_eq!(dialled.json()["notes"][0]["text"], "dial 1.5");
    let stopped = ask(&router, "POST", &format!("/v1/runs/{ID}/stop"), &[], "{\"now\":true}").await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED);
    assert_eq!(stopped.json()["notes"][1]["text"], "stopped by local, now: true");
    let again = ask(&router, "POST", &format!("/v1/runs/{ID}/stop"), &[], "").await;
    assert_eq!((again.status, again.error()), (StatusCode::CONFLICT, format!("run {ID} has ended")));
}

#[tokio::test]
async fn every_failure_has_its_status_and_words() {
    let (router, _) = open().await;
    ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    let plan = |plan: &str| serde_json::json!({ "plan": plan }).to_string();
    let bots = |target, bots| plan(&format!("target = \"{target}\"\nbots = {bots}\nduration = \"1m\"\n"));
    let run = |rest| format!("/v1/runs/{ID}{rest}");
    let table = [
        ("POST", "/v1/runs".to_owned(), plan("bost = 5"), 400, "did you mean `bots`?"),
        ("POST", "/v1/runs".into(), plan("bots = -1"), 400, "plan.toml:1:8"),
        ("POST", "/v1/runs".into(), "{".into(), 400, "JSON"),
        ("POST", "/v1/runs".into(), "{\"plan\":\"\",\"wokers\":3}".into(), 400, "wokers"),
        ("POST", "/v1/runs".into(), "[]".into(), 400, "RunRequest"),
        ("POST", "/v1/runs".into(), bots("93.184.216.34:1", 5), 403, "loopback and private networks only"),
        ("POST", "/v1/runs".into(), bots("127.0.0.1:1", 500_000), 429, "needs 1000 of the quota"),
        ("POST", "/v1/estimate".into(), bots("127.0.0.1:1", 500_000), 429, "Service Quotas"),
        ("GET", "/v1/runs/0000000000000abd".into(), String::new(), 404, "no run 0000000000000abd"),
        ("GET", "/v1/runs/abc".into(), String::new(), 404, "16 hexadecimal digits"),
        ("GET", "/v1/runs/+000000000000abc".into(), String::new(), 404, "16 hexadecimal digits"),
        ("GET", "/v1/runs?limit=many".into(), String::new(), 400, "limit"),
        ("GET", "/v1/runs?stat=ended".into(), String::new(), 400, "stat"),
        ("GET", "/v1/nothing".into(), String::new(), 404, "nothing at this path"),
        ("DELETE", run(""), String::new(), 405, "does not take this method"),
        ("POST", run("/stop"), "{\"now\":1}".into(), 400, "how to stop"),
        ("POST", run("/dial"), "{\"dial\":2.5}".into(), 400, "from 0.5 to 2"),
        ("POST", run("/dial"), "{\"dial\":0.1}".into(), 400, "from 0.5 to 2"),
        ("GET", run("/report/none.html"), String::new(), 404, "no file"),
        ("GET", run("/report/..%2f..%2fetc%2fpasswd"), String::new(), 404, "no name of a report's file"),
        ("GET", run("/report/.hidden"), String::new(), 404, "no name of a report's file"),
        ("GET", run("/report/a//b"), String::new(), 404, "no name of a report's file"),
        ("GET", run("/report/%ff"), String::new(), 400, "UTF-8"),
        ("GET", run("/events?after=x"), String::new(), 400, "after"),
        ("GET", "/v1/tokens".into(), String::new(), 404, "by tokens"),
    ];
    for (method, path, body, status, part) in table {
        let answer = ask(&router, method, &path, &[], &body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        assert!(answer.error().contains(part), "{method} {path}: {}", answer.text);
        // Each says what to do.
        let help = answer.json()["help"].as_str().map_or(0, str::len);
        assert!(help > 15, "{method} {path}: {}", answer.text);
    }
    let refused = ask(&router, "POST", "/v1/runs", &[], &bots("93.184.216.34:1", 5)).await.json();
    assert!(refused["rule"].as_str().unwrap().contains("default"), "{refused}");
    let quota = ask(&router, "POST", "/v1/runs", &[], &bots("127.0.0.1:1", 500_000)).await.json();
    assert!(quota["rule"].as_str().unwrap().contains("Concurrent executions"), "{quota}");
    assert!(quota["help"].as_str().unwrap().contains("L-B99A9384"), "{quota}");
}

#[tokio::test]
async fn bodies_have_a_bound() {
    let (router, _) = open().await;
    let fits = serde_json::json!({ "plan": "#".repeat(1 << 20) }).to_string();
    assert_eq!(ask(&router, "POST", "/v1/estimate", &[], &fits).await.status, StatusCode::FORBIDDEN);
    let long = format!("{{\"plan\":\"{}\"}}", "#".repeat(MAX_REQUEST_BYTES));
    for path in ["/v1/runs".to_owned(), format!("/v1/runs/{ID}/stop"), "/v1/workers/report".into()] {
        let answer = ask(&router, "POST", &path, &[], &long).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        answer.error();
    }
    // Only JSON that says so: what a web page can send unasked is something else.
    let answer = ask(&router, "POST", "/v1/runs", &[("content-type", "text/plain")], &launch()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error().contains("Content-Type"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn requests_have_an_end() {
    let slow = Fake { slow: true, ..Fake::new() };
    let router = router(std::sync::Arc::new(slow), Access::Open);
    let answer = ask(&router, "POST", "/v1/estimate", &[], &launch()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.error().contains("longer than 25 s"));
}

#[tokio::test]
async fn a_web_page_cannot_reach_a_fleet_without_tokens() {
    let (router, _) = open().await;
    for (name, value, status) in [
        ("host", "localhost:8080", 200),
        ("host", "127.0.0.1:8080", 200),
        ("host", "[::1]:8080", 200),
        ("host", "evil.example.com", 403),
        ("host", "127.0.0.1.evil.example.com:80", 403),
        ("origin", "http://localhost:8080", 200),
        ("origin", "https://evil.example.com", 403),
        ("origin", "null", 403),
    ] {
        let answer = ask(&router, "GET", "/v1/runs", &[(name, value)], "").await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn with_tokens_each_caller_has_a_name() {
    let (router, root) = with_tokens().await;
    let root = format!("Bearer {root}");
    for header in ["", "Bearer", "Bearer x", "Basic cm9vdDo=", "Bearer lk_root_AAAA"] {
        let answer = ask(&router, "GET", "/v1/runs", &[("authorization", header)], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(answer.error().contains("token"), "{}", answer.text);
    }
    let as_root = [("authorization", root.as_str())];
    let made = ask(&router, "POST", "/v1/tokens", &as_root, "{\"name\":\"ci-arena\"}").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let ci = format!("bearer {}", made.json()["token"].as_str().unwrap());
    let as_ci = [("authorization", ci.as_str())];
    let launched = ask(&router, "POST", "/v1/runs", &as_ci, &launch()).await;
    assert_eq!(launched.json()["by"]["name"], "ci-arena");

    // Only an administrator sees to tokens.
    for (method, path, body) in [
        ("GET", "/v1/tokens", ""),
        ("POST", "/v1/tokens", "{\"name\":\"x\",\"admin\":true}"),
        ("POST", "/v1/tokens", "{\"name\":\"x\",\"role\":\"look\"}"),
        ("DELETE", "/v1/tokens/root", ""),
    ] {
        assert_eq!(ask(&router, method, path, &as_ci, body).await.status, StatusCode::FORBIDDEN, "{method}");
    }
    let again = ask(&router, "POST", "/v1/tokens", &as_root, "{\"name\":\"ci-arena\"}").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let bad = ask(&router, "POST", "/v1/tokens", &as_root, "{\"name\":\"a:b\"}").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&router, "DELETE", "/v1/tokens/nobody", &as_root, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&router, "DELETE", "/v1/tokens/ci-arena", &as_root, "").await.status, StatusCode::OK);
    let revoked = ask(&router, "GET", "/v1/runs", &as_ci, "").await;
    assert_eq!(
        (revoked.status, revoked.error()),
        (StatusCode::UNAUTHORIZED, "the token \"ci-arena\" was revoked".into())
    );
    let list = ask(&router, "GET", "/v1/tokens", &as_root, "").await;
    assert!(!list.text.contains("proof") && !list.text.contains("salt") && list.text.contains("revoked_at_ms"));

    // Everybody may know that it is there, and how to speak to it.
    assert_eq!(ask(&router, "GET", "/v1/health", &[], "").await.status, StatusCode::OK);
    assert_eq!(ask(&router, "GET", "/v1/openapi.json", &[], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn reports_are_files() {
    let (router, _) = open().await;
    ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    for (rest, kind) in [
        ("report", "application/json"),
        ("report/report.json", "application/json"),
        ("report/report.html", "text/html; charset=utf-8"),
        ("report/charts/login.svg", "image/svg+xml"),
        ("report/histograms.bin", "application/octet-stream"),
    ] {
        let answer = ask(&router, "GET", &format!("/v1/runs/{ID}/{rest}"), &[], "").await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (StatusCode::OK, kind), "{rest}");
        assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    }
    let files = ask(&router, "GET", &format!("/v1/runs/{ID}/files"), &[], "").await;
    assert_eq!(files.json()[0]["name"], "report.html");
}

#[tokio::test(start_paused = true)]
async fn live_events_resume_where_they_were_left() {
    let (router, fake) = open().await;
    ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    let kinds = [LiveKind::State, LiveKind::Note, LiveKind::Figures, LiveKind::Ended];
    let event = |(id, kind)| LiveEvent { id, kind, data: serde_json::json!({ "text": "two\r\nlines" }) };
    fake.events.lock().unwrap().extend((1..).zip(kinds).map(event));
    let path = format!("/v1/runs/{ID}/events");
    let ids = |text: &str| text.lines().filter_map(|line| line.strip_prefix("id: ")).collect::<Vec<_>>().join(",");

    let all = ask(&router, "GET", &path, &[], "").await;
    assert_eq!(all.headers["content-type"], "text/event-stream");
    assert_eq!(ids(&all.text), "1,2,3,4", "{}", all.text);
    assert!(all.text.contains("event: ended") && all.text.contains("retry: 2000"), "{}", all.text);
    let rest = ask(&router, "GET", &path, &[("last-event-id", "2")], "").await;
    assert_eq!(ids(&rest.text), "3,4");
    let rest = ask(&router, "GET", &format!("{path}?after=3"), &[], "").await;
    assert_eq!(ids(&rest.text), "4");
    // A browser that comes back after the end is told not to.
    assert_eq!(ask(&router, "GET", &path, &[("last-event-id", "4")], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&router, "GET", "/v1/runs/0000000000000001/events", &[], "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn workers_speak_with_their_runs_token() {
    let (router, _) = open().await;
    let token = format!("Bearer of {RUN}");
    let body = |worker: u32, more: serde_json::Value| {
        let mut body = serde_json::json!({ "who": { "run": RUN, "worker": worker, "attempt": 0 } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let status = serde_json::to_value(WorkerStatus::default()).unwrap();
    let own = [("authorization", token.as_str())];
    let claim = |worker| body(worker, serde_json::json!({ "status": status }));
    let granted = ask(&router, "POST", "/v1/workers/claim", &own, &claim(0)).await;
    assert_eq!((granted.json()["claim"].as_str(), granted.json()["now_ms"].as_u64()), (Some("granted"), Some(7)));
    assert_eq!(ask(&router, "POST", "/v1/workers/claim", &own, &claim(1)).await.json()["claim"], "taken");
    assert_eq!(ask(&router, "POST", "/v1/workers/claim", &own, &claim(2)).await.status, StatusCode::CONFLICT);
    let beat = body(0, serde_json::json!({ "phase": "playing", "status": status }));
    assert_eq!(ask(&router, "POST", "/v1/workers/beat", &own, &beat).await.json()["beat"], "lost");
    let report = |texts: &[String]| body(0, serde_json::json!({ "texts": texts }));
    let text = format!("lk1.{RUN}.0.0.0.0.0.1.AAAA");
    let taken = ask(&router, "POST", "/v1/workers/report", &own, &report(&[text.clone(), text])).await;
    assert_eq!(taken.json()["taken"], 2);
    // A worker's token is for its own run.
    let other = format!("lk1.{}.0.0.0.0.0.1.AAAA", RunId(1));
    let refused = ask(&router, "POST", "/v1/workers/report", &own, &report(&[other])).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let close = body(0, serde_json::json!({ "status": status, "end": { "parcels": 3 } }));
    let away = ask(&router, "POST", "/v1/workers/close", &own, &close).await;
    assert_eq!((away.status, away.error().contains("asleep")), (StatusCode::SERVICE_UNAVAILABLE, true));

    let foreign = format!("Bearer of {}", RunId(1));
    for header in ["", "Bearer x", foreign.as_str()] {
        let answer = ask(&router, "POST", "/v1/workers/claim", &[("authorization", header)], &claim(0)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
    }
}

#[tokio::test]
async fn the_document_describes_the_routes() {
    let (router, _) = open().await;
    let served = ask(&router, "GET", "/v1/openapi.json", &[], "").await.json();
    assert_eq!(served, serde_json::from_str::<serde_json::Value>(&openapi_json()).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3."));
    let paths = served["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 17, "{:?}", paths.keys());
    // Each route answers as itself, and each reference has something behind it.
    for (path, methods) in paths {
        let path = path.replace("{id}", ID).replace("{file}", "report.html").replace("{name}", "x");
        for method in methods.as_object().unwrap().keys() {
            let answer = ask(&router, &method.to_uppercase(), &path, &[], "").await;
            assert!(
                !answer.text.contains("nothing at this path") && answer.status != StatusCode::METHOD_NOT_ALLOWED,
                "{path}"
            );
        }
    }
    let mut references = Vec::new();
    collect(&served, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(served.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let names = "RunRequest RunRecord Estimate Refusal Judgement ErrorBody Who RunLine WorkerStatus LiveEvent Crew Note Claim Beat \
                 ClaimRequest BeatRequest ReportRequest ReportAnswer CloseRequest Order Command";
    for name in names.split(' ') {
        assert!(served["components"]["schemas"][name].is_object(), "{name}");
    }
}

fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            into.extend(map.get("$ref").and_then(|to| to.as_str()).map(str::to_owned));
            map.values().for_each(|value| collect(value, into));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

/// Runs that are stopped in the fake have ended.
#[tokio::test]
async fn a_stop_needs_no_body() {
    let (router, fake) = open().await;
    ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    assert_eq!(ask(&router, "POST", &format!("/v1/runs/{ID}/stop"), &[], "").await.status, StatusCode::ACCEPTED);
    assert_eq!(fake.runs.lock().unwrap()[0].state, RunState::Ended);
}

/// With tokens and without; made once, because the document is made with them.
static ROUTERS: LazyLock<(Runtime, [Router; 2])> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let routers = runtime.block_on(async { [with_tokens().await.0, open().await.0] });
    (runtime, routers)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is sent, the answer is none of 500, and an error has our shape.
    #[test]
    fn hostile_requests_are_answered(
        path in "(/v1)?(/runs|/tokens|/workers|/estimate)?/[a-z0-9%./~-]{0,20}(/(stop|dial|report|events)(/[a-z.%0-9]{0,9})?)?",
        body in "\\PC{0,60}",
        token in "[ -~]{0,40}",
        method in prop::sample::select(vec!["GET", "POST", "DELETE", "PUT"]),
    ) {
        let (runtime, routers) = &*ROUTERS;
        runtime.block_on(async {
            if path.parse::<axum::http::Uri>().is_err() {
                return;
            }
            for router in routers {
                let answer = ask(router, method, &path, &[("authorization", &token)], &body).await;
                assert!(answer.status.as_u16() != 500, "{path}: {}", answer.text);
                let is_page = answer.text.starts_with("<!DOCTYPE html>") && !path.starts_with("/v1/");
                if !is_page && (answer.status.is_client_error() || answer.status.is_server_error()) {
                    answer.error();
                }
            }
        });
    }
}
