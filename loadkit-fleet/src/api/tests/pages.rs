//! The dashboard's pages before a fleet that plays nothing: what they hold, whom they let in, and what they do not let out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use loadkit_sinks::Interval;
use tower::ServiceExt as _;

use super::fake::{Answer, Fake, RUN, ask, launch, open, with_tokens};
use crate::record::RunState;

const HOST: &str = "127.0.0.1:8080";
/// What a browser says of a form on a page of ours.
const OURS: [(&str, &str); 3] =
    [("host", HOST), ("origin", "http://127.0.0.1:8080"), ("content-type", "application/x-www-form-urlencoded")];
const HOSTILE: &str = "<img src=x onerror=alert(1)>'\"&";

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path, &[("host", HOST)], "").await
}

/// A router with a run in it.
async fn launched() -> (Router, Arc<Fake>, String) {
    let (router, fake) = open().await;
    let answer = ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    (router, fake, format!("/runs/{RUN}"))
}

#[tokio::test]
async fn pages_have_the_strictest_policy() {
    let (router, _, run) = launched().await;
    for path in ["/", &run, "/launch", "/login", "/runs/0000000000000def", "/assets/run.js"] {
        let answer = get(&router, path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        for forbidden in ["<script>", " style=", "<style", " onclick", "javascript:", "http://", "https://"] {
            assert!(path.starts_with("/assets") || !answer.text.contains(forbidden), "{path}: {forbidden}");
        }
    }
}

#[tokio::test]
async fn hostile_texts_stay_texts() {
    let (router, fake, run) = launched().await;
    {
        let mut runs = fake.runs.lock().unwrap();
        let record = &mut runs[0];
        record.scenario = HOSTILE.into();
        record.target = HOSTILE.into();
        record.by.name = HOSTILE.into();
        record.request.build = HOSTILE.into();
        record.request.plan.push_str(&format!("# {HOSTILE}"));
        record.note(3, HOSTILE);
        let mut standing = fake.standing.lock().unwrap();
        let sample = serde_json::json!({ "at_us": 1, "seat": 2, "step": HOSTILE, "kind": HOSTILE, "message": HOSTILE });
        standing.failures.samples.push(serde_json::from_value(sample).unwrap());
        let flown = crate::Flown { seat: 2, ended_us: 3, failure: HOSTILE.into(), lines: vec![HOSTILE.into()] };
        standing.failures.flights.push(flown);
        standing.markers.push(crate::Marker { at_ms: 4, text: HOSTILE.into(), by: HOSTILE.into() });
    }
    let asked = "/?scenario=%3Cimg%20src%3Dx%3E&build=%22%3E%3Cimg%20src%3Dx%3E";
    for path in ["/", &run, "/launch", &format!("/launch?from={RUN}"), asked, "/runs/%3Cimg%20src=x%3E"] {
        let answer = get(&router, path).await;
        assert!(!answer.text.contains("<img"), "{path}: {}", answer.text);
    }
    assert!(get(&router, &run).await.text.contains("&lt;img src=x onerror=alert(1)&gt;"));
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let (router, _) = open().await;
    for (path, words) in [
        ("/runs/0000000000000def", "there is no run"),
        ("/runs/x", "16 hexadecimal digits"),
        ("/compare", "two runs or more"),
        ("/compare?run=0000000000000def&run=0000000000000abc", "there is no run"),
        ("/compare?run=x&run=y", "16 hexadecimal digits"),
        ("/launch?from=x", "is none"),
        ("/?after=nonsense", ""),
    ] {
        let answer = get(&router, path).await;
        assert!(answer.text.starts_with("<!DOCTYPE html>"), "{path}: {}", answer.text);
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn only_our_own_pages_change_anything() {
    let (router, fake, run) = launched().await;
    let stop = format!("{run}/stop");
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let host = ("host", HOST);
    for from in [
        &[host, kind][..],
        &[host, kind, ("origin", "https://evil.example.com")],
        &[host, kind, ("origin", "null")],
        // Another service of the same machine.
        &[host, kind, ("origin", "http://127.0.0.1:3000")],
        &[host, kind, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8080")],
        &[host, kind, ("sec-fetch-site", "cross-site")],
    ] {
        for path in [stop.as_str(), &format!("{run}/dial"), &format!("{run}/marker"), "/launch", "/login", "/logout"] {
            let answer = ask(&router, "POST", path, from, "token=x&dial=1&text=x").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {from:?}: {}", answer.text);
        }
        let elsewhere = from.iter().any(|(name, value)| *name == "origin" && *value != "http://127.0.0.1:8080");
        let answer = ask(&router, "POST", &format!("/v1{stop}"), from, "").await;
        assert_eq!(answer.status == StatusCode::FORBIDDEN, elsewhere, "{from:?}");
        fake.runs.lock().unwrap()[0].state = RunState::Running;
    }
    let answer = ask(&router, "POST", &stop, &OURS, "now=yes").await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, run.as_str()));
    assert!(fake.runs.lock().unwrap()[0].notes.iter().any(|note| note.text.contains("now: true")));
}

#[tokio::test]
async fn a_run_is_turned_and_marked() {
    let (router, fake, run) = launched().await;
    for wrong in ["", "dial=", "dial=9", "dial=NaN", "dial=x"] {
        let answer = ask(&router, "POST", &format!("{run}/dial"), &OURS, wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(ask(&router, "POST", &format!("{run}/dial"), &OURS, "dial=1.5").await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        ask(&router, "POST", &format!("{run}/marker"), &OURS, "text=deployed+2.31").await.status,
        StatusCode::SEE_OTHER
    );
    assert!(fake.runs.lock().unwrap()[0].notes.iter().any(|note| note.text == "dial 1.5"));
    assert_eq!(fake.standing.lock().unwrap().markers[0].text, "deployed 2.31");
    let posted = ask(&router, "POST", &format!("/v1{run}/markers"), &[], "{\"text\":\"by a tool\",\"at_ms\":9}").await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.text);
    let markers = get(&router, &format!("/v1{run}/markers")).await.json();
    assert_eq!(markers[1]["at_ms"], 9, "{markers}");
    assert!(get(&router, &run).await.text.contains("by a tool"));
}

#[tokio::test]
async fn a_cookie_lets_in_who_has_a_token() {
    let (router, token) = with_tokens().await;
    let nobody = get(&router, "/").await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(nobody.text.contains("A token of this fleet"), "{}", nobody.text);
    for wrong in ["token=nobodys", "token=a;b", "token=%0d%0a", "token="] {
        let answer = ask(&router, "POST", "/login", &OURS, wrong).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}: {}", answer.text);
        assert!(answer.text.contains("no such token") && !answer.headers.contains_key("set-cookie"), "{}", answer.text);
    }
    let signed_in = ask(&router, "POST", "/login", &OURS, &format!("token={token}")).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    let set = signed_in.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    let cookie = ("cookie", set.split(';').next().unwrap());
    let page = ask(&router, "GET", "/", &[cookie], "").await;
    assert!(page.status == StatusCode::OK && page.text.contains("Sign out"), "{}", page.text);
    // The API takes the cookie too: but to change something, from our own pages only.
    assert_eq!(ask(&router, "GET", "/v1/runs", &[cookie], "").await.status, StatusCode::OK);
    assert_eq!(ask(&router, "POST", "/v1/runs", &[cookie], &launch()).await.status, StatusCode::FORBIDDEN);
    let stale = ("cookie", "loadkit=lk_root_AAAA");
    let answer = ask(&router, "GET", "/", &[stale], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("no such token"), "{}", answer.text);
    let out = ask(&router, "POST", "/logout", &OURS, "").await;
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn whoever_may_only_look_is_shown_nothing_else_and_can_do_nothing_else() {
    let (router, root) = with_tokens().await;
    let as_root = ("authorization", &*format!("Bearer {root}"));
    let made = ask(&router, "POST", "/v1/tokens", &[as_root], "{\"name\":\"wall\",\"role\":\"look\"}").await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let bearer = ("authorization", &*format!("Bearer {token}"));
    let (cookie, roots) = (("cookie", &*format!("loadkit={token}")), ("cookie", &*format!("loadkit={root}")));
    assert!(ask(&router, "GET", "/", &[roots], "").await.text.contains("Launch one"));
    let empty = ask(&router, "GET", "/", &[cookie], "").await.text;
    assert!(empty.contains("There is no run yet") && !empty.contains("/launch"), "{empty}");
    assert_eq!(ask(&router, "POST", "/v1/runs", &[as_root], &launch()).await.status, StatusCode::ACCEPTED);

    let run = format!("/runs/{RUN}");
    let page = ask(&router, "GET", &run, &[cookie], "").await;
    assert!(page.status == StatusCode::OK && page.text.contains("wall"), "{}", page.text);
    for button in ["/stop", "/dial", "/marker", "/launch", "id=\"controls\""] {
        assert!(!page.text.contains(button), "{button}");
        assert!(ask(&router, "GET", &run, &[roots], "").await.text.contains(button), "{button}");
    }
    let refused = |answer: &Answer, what: &str| {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {}", answer.text);
        assert!(answer.text.contains("role launch (always)"), "{what}: {}", answer.text);
    };
    let form: Vec<_> = OURS.into_iter().chain([cookie]).collect();
    for path in [&format!("{run}/stop"), &format!("{run}/dial"), &format!("{run}/marker"), "/launch"] {
        refused(&ask(&router, "POST", path, &form, "dial=1&text=x").await, path);
    }
    refused(&ask(&router, "GET", "/launch", &[cookie], "").await, "/launch");
    let stop = format!("/v1{run}/stop");
    for (path, body) in [
        ("/v1/runs", &*launch()),
        (&stop, ""),
        (&format!("/v1{run}/dial"), "{\"dial\":1}"),
        (&format!("/v1{run}/markers"), "{\"text\":\"x\"}"),
    ] {
        refused(&ask(&router, "POST", path, &[bearer], body).await, path);
    }
    assert_eq!(ask(&router, "GET", "/v1/tokens", &[bearer], "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&router, "GET", "/v1/runs", &[bearer], "").await.status, StatusCode::OK);
    assert_eq!(ask(&router, "POST", "/v1/estimate", &[bearer], &launch()).await.status, StatusCode::OK);
    // A token is looked up each time: from now on its cookie is nobody's.
    assert_eq!(ask(&router, "DELETE", "/v1/tokens/wall", &[as_root], "").await.status, StatusCode::OK);
    let gone = ask(&router, "GET", &run, &[cookie], "").await;
    assert!(gone.status == StatusCode::UNAUTHORIZED && gone.text.contains("was revoked"), "{}", gone.text);
}

#[tokio::test]
async fn files_of_a_report_are_sent_to_a_page_under_their_own_policy() {
    let (router, _, run) = launched().await;
    let page = get(&router, &format!("{run}/report/report.html")).await;
    assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "<p/>"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("sandbox") && !policy.contains("script"), "{policy}");
    assert_eq!(page.headers["cross-origin-resource-policy"], "same-origin");
    let links = get(&router, &run).await.text;
    assert!(links.contains(&format!("{run}/report/report.html")) && !links.contains("href=\"/v1"), "{links}");
    let none = get(&router, &format!("{run}/report/.hidden")).await;
    assert!(none.status == StatusCode::NOT_FOUND && none.text.starts_with("<!DOCTYPE html>"), "{}", none.text);
    assert!(none.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
}

#[tokio::test]
async fn a_launch_is_estimated_first() {
    let (router, fake) = open().await;
    let plan = "target+%3D+%22127.0.0.1%3A4000%22%0D%0Abots+%3D+100%0D%0Aduration+%3D+%221m%22";
    // Without an estimate, or with one of something else, nothing is launched.
    for rest in ["act=launch", "act=launch&seen=x", "act=estimate", ""] {
        let answer = ask(&router, "POST", "/launch", &OURS, &format!("plan={plan}&{rest}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.contains("All of them allow it"), "{}", answer.text);
        assert!(fake.runs.lock().unwrap().is_empty(), "{rest}");
    }
    let page = ask(&router, "POST", "/launch", &OURS, &format!("plan={plan}&act=estimate")).await.text;
    let hidden = |name: &str| {
        let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (seen, once) = (hidden("seen"), hidden("once"));
    let asked = format!("plan={plan}&seen={seen}&once={once}&act=launch");
    let answer = ask(&router, "POST", "/launch", &OURS, &asked).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(fake.runs.lock().unwrap()[0].request.once, once);
    // What is wrong is said beside the form, and what was filled in stays.
    for (body, words) in [
        ("plan=bots+%3D&build=mine", "mine"),
        (&format!("plan={plan}&workers=many"), "no whole number"),
        (&format!("plan={plan}&target=192.0.2.1%3A1"), "The rule"),
    ] {
        let answer = ask(&router, "POST", "/launch", &OURS, body).await;
        assert!(answer.status.is_client_error() && answer.text.contains(words), "{body}: {}", answer.text);
        assert!(answer.text.contains("role=\"alert\""), "{body}");
    }
}

#[tokio::test]
async fn files_come_packed_and_are_not_sent_twice() {
    let (router, _) = open().await;
    let plain = get(&router, "/assets/chart.js").await;
    let packed = ask(&router, "GET", "/assets/chart.js", &[("host", HOST), ("accept-encoding", "br, gzip")], "").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(plain.text.len() > 150_000 && packed.text.len() < 150_000, "{}", packed.text.len());
    let known = packed.headers["etag"].to_str().unwrap();
    let again = ask(&router, "GET", "/assets/chart.js", &[("host", HOST), ("if-none-match", known)], "").await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(get(&router, "/assets/../Cargo.toml").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/assets/none.js").await.status, StatusCode::NOT_FOUND);
}

/// A second of figures.
fn second(at: u64) -> Interval {
    Interval { from_us: at * 1_000_000, to_us: (at + 1) * 1_000_000, ..Interval::default() }
}

/// The events of a stream that ends.
async fn heard(router: &Router, path: &str, last: Option<&str>) -> Vec<(String, String, String)> {
    let mut request = Request::builder().uri(path).header("host", HOST);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    if answer.status() == StatusCode::NO_CONTENT {
        return Vec::new();
    }
    assert_eq!(answer.status(), StatusCode::OK);
    let mut text = String::new();
    let mut body = answer.into_body().into_data_stream();
    while let Some(bytes) = tokio::time::timeout(Duration::from_secs(60), body.next()).await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&bytes.unwrap()));
    }
    let of = |event: &str, name: &str| {
        let start = format!("{name}: ");
        event.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap_or_default().to_owned()
    };
    let events = text.split("\n\n").filter(|event| event.contains("event:"));
    events.map(|event| (of(event, "id"), of(event, "event"), of(event, "data"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_where_it_was_left_and_says_what_it_left_out() {
    let (router, fake, run) = launched().await;
    let path = format!("/data{run}/live");
    {
        fake.windows.lock().unwrap().extend((0..300).map(second));
        let record = &mut fake.runs.lock().unwrap()[0];
        record.note(3, "a note");
        record.state = RunState::Ended;
        *fake.now_ms.lock().unwrap() = 400_000;
        (record.start_at_ms, record.ended_at_ms) = (0, Some(300_000));
    }
    let all = heard(&router, &path, Some("270-0")).await;
    let seconds: Vec<&str> = all.iter().filter(|(_, name, _)| name == "figures").map(|(id, ..)| id.as_str()).collect();
    assert!(seconds.len() == 30 && seconds[0] == "271-1" && seconds[29] == "300-1", "{seconds:?}");
    assert!(all.iter().any(|(_, name, data)| name == "notes" && data.contains("a note")), "{all:?}");
    assert_eq!(all.last().unwrap().1, "over");
    assert!(all.iter().all(|(_, name, _)| name != "behind"));
    // Whoever is too far behind gets the latest, and is told.
    let late = heard(&router, &path, Some("3-1")).await;
    let (_, _, behind) = late.iter().find(|(_, name, _)| name == "behind").unwrap();
    assert!(behind.contains("\"from_s\":3"), "{behind}");
    let seconds = late.iter().filter(|(_, name, _)| name == "figures").count();
    assert!(seconds <= 120, "{seconds}");
    assert!(late.iter().all(|(_, name, _)| name != "notes"), "notes are told once: {late:?}");
    // Who has heard all is told not to come back.
    assert!(heard(&router, &path, Some(&all.last().unwrap().0)).await.is_empty());
}
