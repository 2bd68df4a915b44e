//! The dashboard behind API Gateway: who gets in, and what is live where answers go out when they are whole.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use loadkit_core::{Histogram, RunId};
use loadkit_sinks::{Interval, StepFigures};
use loadkit_worker::{Expect, Item, Key, Lease, MemoryStore, Page, Store, StoreError, get_json, keys, put_json};
use serde_json::{Value, json};

use super::fake::{ARN, CHIEF, Fake, RUN, behind_gateway, launch};
use super::gateway::event;
use super::real::over;
use crate::api::{GatewayResponse, handle, router};
use crate::record::RunState;
use crate::request::Caller;
use crate::{Role, Tokens};

const HOST: &str = "abc.execute-api.us-east-1.amazonaws.com";
const OURS: &str = "https://abc.execute-api.us-east-1.amazonaws.com";

/// What a browser sends, on routes that ask for no signature.
fn browse(method: &str, path: &str, cookie: Option<&str>, form: Option<&str>) -> Value {
    let mut event = event(method, path, None, None);
    event["headers"] = json!({ "host": HOST, "accept-encoding": "gzip, deflate, br", "sec-fetch-site": "same-origin" });
    if let Some(form) = form {
        // As API Gateway has forms.
        (event["body"], event["isBase64Encoded"]) = (STANDARD.encode(form).into(), true.into());
        event["headers"]["content-type"] = "application/x-www-form-urlencoded".into();
        event["headers"]["origin"] = OURS.into();
    }
    if let Some(cookie) = cookie {
        event["cookies"] = json!(["theme=dark", cookie]);
    }
    event
}

/// An answer's body, as a browser unpacks it.
fn text(answer: &GatewayResponse) -> String {
    let body = match answer.is_base64_encoded {
        true => STANDARD.decode(&answer.body).unwrap(),
        false => answer.body.clone().into_bytes(),
    };
    if answer.headers.get("content-encoding").is_none_or(|coding| coding != "gzip") {
        return String::from_utf8(body).unwrap();
    }
    let mut text = String::new();
    GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
    text
}

async fn fronted() -> (Router, Arc<Fake>, Tokens) {
    let (access, tokens) = behind_gateway().await;
    let fake = Arc::new(Fake::new());
    let router = router(fake.clone(), access);
    handle(router.clone(), event("POST", "/v1/runs", ARN, Some(&launch()))).await;
    (router, fake, tokens)
}

async fn cookie(tokens: &Tokens, name: &str, role: Role) -> String {
    let token = tokens.create(name, role, &Caller::default()).await.unwrap().token;
    format!("loadkit={token}")
}

#[tokio::test]
async fn a_browser_signs_in_with_a_token() {
    let (router, _, tokens) = fronted().await;
    let ask = |event| handle(router.clone(), event);
    let nobody = ask(browse("GET", "/", None, None)).await;
    assert!(nobody.status_code == 401 && text(&nobody).contains("A token of this fleet"), "{nobody:?}");
    let cookie = cookie(&tokens, "ann", Role::Launch).await;
    let token = cookie.trim_start_matches("loadkit=");
    let mut login = browse("POST", "/login", None, Some(&format!("token={token}")));
    // API Gateway speaks TLS alone, whatever a header says.
    login["headers"]["x-forwarded-proto"] = "http".into();
    let signed_in = ask(login).await;
    assert_eq!((signed_in.status_code, signed_in.headers["location"].as_str()), (303, "/"));
    assert!(!signed_in.headers.contains_key("set-cookie"), "{signed_in:?}");
    let set = signed_in.cookies[0].as_str();
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(set.starts_with(&cookie), "{set}");
    let page = ask(browse("GET", "/", Some(&cookie), None)).await;
    assert!(page.status_code == 200 && text(&page).contains("Sign out"), "{page:?}");
    let out = ask(browse("POST", "/logout", Some(&cookie), Some(""))).await;
    assert!(out.cookies[0].contains("Max-Age=0"), "{out:?}");
    // Each stays on its own side: a cookie opens no API, and a signature no page.
    assert_eq!(ask(browse("GET", "/v1/runs", Some(&cookie), None)).await.status_code, 401);
    assert_eq!(ask(event("GET", "/", CHIEF, None)).await.status_code, 401);
    let mut bearer = browse("GET", "/", None, None);
    bearer["headers"]["authorization"] = format!("Bearer {token}").into();
    assert_eq!(ask(bearer).await.status_code, 401);
    // An asset is packed once, and a path comes decoded.
    let asset = ask(browse("GET", "/assets/chart.js", None, None)).await;
    assert!(asset.is_base64_encoded && text(&asset).contains("MIT License"));
    let odd = ask(browse("GET", "/runs/<img src=x>?", Some(&cookie), None)).await;
    assert!(odd.status_code == 404 && !text(&odd).contains("<img"), "{odd:?}");
}

#[tokio::test]
async fn strangers_stop_nothing_through_the_gateway() {
    let (router, fake, tokens) = fronted().await;
    let ask = |event| handle(router.clone(), event);
    let (ann, wall) = (cookie(&tokens, "ann", Role::Launch).await, cookie(&tokens, "wall", Role::Look).await);
    let gone = cookie(&tokens, "gone", Role::Launch).await;
    tokens.revoke("gone").await.unwrap();
    let (run, stop) = (format!("/runs/{RUN}"), format!("/runs/{RUN}/stop"));
    let with = |cookie, header: &str, value: &str| {
        let mut event = browse("POST", &stop, Some(cookie), Some("now=yes"));
        event["headers"][header] = value.into();
        event
    };
    for (event, status, words) in [
        (browse("POST", &stop, None, Some("")), 401, "wants to know who looks"),
        (browse("POST", &stop, Some("loadkit=lk_nobody_AAAA"), Some("")), 401, "no such token"),
        (browse("POST", &stop, Some(&gone), Some("")), 401, "was revoked"),
        (browse("POST", &stop, Some(&wall), Some("")), 403, "role launch (always)"),
        (with(&ann, "origin", "https://evil.example.com"), 403, "another origin"),
        (with(&ann, "origin", "https://def.execute-api.us-east-1.amazonaws.com"), 403, "another origin"),
        (with(&ann, "sec-fetch-site", "cross-site"), 403, "another origin"),
        (with(&ann, "sec-fetch-site", "same-site"), 403, "another origin"),
    ] {
        let answer = ask(event.clone()).await;
        assert_eq!(answer.status_code, status, "{event} {answer:?}");
        assert!(text(&answer).contains(words), "{event} {}", text(&answer));
    }
    assert_eq!(fake.runs.lock().unwrap()[0].state, RunState::Running);
    assert!(!text(&ask(browse("GET", &run, Some(&wall), None)).await).contains(&stop));
    assert!(text(&ask(browse("GET", &run, Some(&ann), None)).await).contains(&stop));
    let answer = ask(browse("POST", &stop, Some(&ann), Some("now=yes"))).await;
    assert_eq!((answer.status_code, answer.headers["location"].as_str()), (303, run.as_str()));
    assert_eq!(fake.runs.lock().unwrap()[0].state, RunState::Ended);
}

/// A window of figures with so many steps, and times of each.
fn window(at: u64, steps: usize, times: u64) -> Interval {
    let mut window = Interval { from_us: at * 1_000_000, to_us: (at + 1) * 1_000_000, ..Interval::default() };
    for step in 0..steps {
        let mut all = Histogram::new();
        (0..times).for_each(|i| all.record(1_000 * (step as u64 + 1) + i * 53 + at));
        let delta = all.to_delta();
        let figures = StepFigures { service: delta.clone(), response: delta, ..StepFigures::default() };
        window.steps.insert(format!("a_step_with_a_name_{step}"), figures);
    }
    window
}

/// Its events: id, name, data.
fn told(answer: &GatewayResponse) -> Vec<(String, String, String)> {
    assert_eq!((answer.status_code, answer.headers["content-type"].as_str()), (200, "text/event-stream"), "{answer:?}");
    let of = |event: &str, name: &str| {
        let start = format!("{name}: ");
        event.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap_or_default().to_owned()
    };
    let text = text(answer);
    let events = text.split("\n\n").filter(|event| event.contains("event:"));
    events.map(|event| (of(event, "id"), of(event, "event"), of(event, "data"))).collect()
}

fn names(told: &[(String, String, String)]) -> Vec<&str> {
    told.iter().map(|(_, name, _)| name.as_str()).collect()
}

/// Looks again, as a browser does: with the id that it heard last.
async fn look(router: &Router, cookie: &str, last: Option<&str>) -> GatewayResponse {
    let mut event = browse("GET", &format!("/data/runs/{RUN}/live"), Some(cookie), None);
    event["rawQueryString"] = "after=0-0".into();
    if let Some(last) = last {
        event["headers"]["last-event-id"] = last.into();
    }
    handle(router.clone(), event).await
}

#[tokio::test(start_paused = true)]
async fn what_is_live_goes_on_from_answer_to_answer_without_a_gap_or_a_double() {
    let (router, fake, tokens) = fronted().await;
    let cookie = cookie(&tokens, "wall", Role::Look).await;
    {
        let record = &mut fake.runs.lock().unwrap()[0];
        (record.start_at_ms, record.ends_at_ms) = (0, 100_000);
        record.note(3, "a note");
    }
    let (mut last, mut seconds, mut retold) = (None::<String>, Vec::new(), 0);
    for step in 1..=20u64 {
        // Four seconds pass from look to look; another function answers each second one.
        *fake.now_ms.lock().unwrap() = step * 4_000 + 4_000;
        fake.windows.lock().unwrap().extend(((step - 1) * 4..step * 4).map(|at| window(at, 3, 20)));
        if step == 10 {
            fake.runs.lock().unwrap()[0].note(9, "another note");
            fake.standing.lock().unwrap().crew.lost = 1;
        }
        let other = match step % 2 {
            0 => router.clone(),
            _ => {
                let administrators = crate::api::Administrators::default();
                crate::api::router(fake.clone(), crate::api::Access::Gateway(tokens.clone(), administrators))
            }
        };
        let answer = look(&other, &cookie, last.as_deref()).await;
        let all = told(&answer);
        assert_eq!(all[0].1, "pace", "{all:?}");
        assert!(text(&answer).starts_with(": loadkit\nretry: 4000") || text(&answer).starts_with("retry: 4000"));
        seconds.extend(
            all.iter()
                .filter(|(_, name, _)| name == "figures")
                .map(|(_, _, data)| serde_json::from_str::<Value>(data).unwrap()["to"].as_f64().unwrap() as u64),
        );
        let states = names(&all).into_iter().filter(|name| ["run", "markers", "failures", "workers"].contains(name));
        retold += if step == 1 { 0 } else { states.count() };
        let notes = names(&all).iter().filter(|name| **name == "notes").count();
        assert_eq!(notes, usize::from(step == 1 || step == 10), "{all:?}");
        assert!(!names(&all).contains(&"behind") && names(&all).contains(&"time"), "{all:?}");
        last = all.last().map(|(id, ..)| id.clone());
    }
    assert_eq!(seconds, (1..=80).collect::<Vec<_>>());
    assert_eq!(retold, 1, "a state goes over the wire again when it has changed");
    // Whoever was away gets the rest in turns, and then the end.
    {
        fake.windows.lock().unwrap().extend((80..100).map(|at| window(at, 3, 20)));
        let record = &mut fake.runs.lock().unwrap()[0];
        (record.state, record.ended_at_ms) = (RunState::Ended, Some(100_000));
        *fake.now_ms.lock().unwrap() = 130_000;
    }
    let first = told(&look(&router, &cookie, last.as_deref()).await);
    assert_eq!(names(&first).iter().filter(|name| **name == "figures").count(), 16, "{first:?}");
    let rest = told(&look(&router, &cookie, Some(&first.last().unwrap().0)).await);
    assert_eq!(names(&rest).iter().filter(|name| **name == "figures").count(), 4, "{rest:?}");
    assert_eq!(rest.last().unwrap().1, "over");
    let done = look(&router, &cookie, Some(&rest.last().unwrap().0)).await;
    assert_eq!(done.status_code, 204);
}

#[tokio::test(start_paused = true)]
async fn places_that_make_no_sense_are_the_beginning_or_the_end() {
    let (router, fake, tokens) = fronted().await;
    let cookie = cookie(&tokens, "wall", Role::Look).await;
    fake.runs.lock().unwrap()[0].start_at_ms = 0;
    fake.windows.lock().unwrap().extend((0..300).map(|at| window(at, 1, 2)));
    *fake.now_ms.lock().unwrap() = 300_000;
    for last in ["x", "18446744073709551615-0", "99999-9-zz.9", "5", "-1--1", &"9".repeat(4_000), "3-0-é.é"] {
        let mut event = browse("GET", &format!("/data/runs/{RUN}/live"), Some(&cookie), None);
        event["headers"]["last-event-id"] = last.into();
        let answer = handle(router.clone(), event).await;
        assert_eq!(answer.status_code, 200, "{last}: {answer:?}");
    }
    // Who has slept is told what is coarser now, once.
    let slept = told(&look(&router, &cookie, Some("3-0")).await);
    let behind = slept.iter().find(|(_, name, _)| name == "behind").unwrap();
    assert!(behind.2.contains("\"from_s\":3") && behind.2.contains("\"to_s\":180"), "{behind:?}");
    let next = told(&look(&router, &cookie, Some(&slept.last().unwrap().0)).await);
    assert!(!names(&next).contains(&"behind"), "{next:?}");
}

/// Counts what is read, in units as DynamoDB counts them: 4 KiB each, of a whole answer.
#[derive(Debug, Default)]
struct Counted {
    store: MemoryStore,
    calls: AtomicUsize,
    units: AtomicUsize,
}

impl Counted {
    fn count(&self, items: &[Item]) {
        let bytes: usize =
            items.iter().map(|item| item.body.len() + item.key.part.len() + item.key.sort.len() + 30).sum();
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.units.fetch_add(bytes.div_ceil(4_096).max(1), Ordering::Relaxed);
    }

    fn taken(&self) -> (usize, usize) {
        (self.calls.swap(0, Ordering::Relaxed), self.units.swap(0, Ordering::Relaxed))
    }
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let item = self.store.get(key).await?;
        self.count(item.as_slice());
        Ok(item)
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        self.store.put(item, expect).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.store.put_all(items).await
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let page = self.store.list(part, prefix, after, limit).await?;
        self.count(&page.items);
        Ok(page)
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.store.delete_all(keys).await
    }
}

/// So many workers, with leases as they are.
async fn staffed(store: &dyn Store, run: RunId, workers: u32, beat_at_ms: u64) {
    let items = (0..workers).map(|worker| {
        let status = json!({
            "home": "lambda", "name": format!("2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef/{worker}"),
            "active": 990 + u64::from(worker) % 10, "planned": 1_000, "parcels": 900, "descriptors": 65_535, "cores": 2,
            "client": "arena 1.4.0",
        });
        let lease = json!({
            "worker": worker, "attempt": 0, "phase": "playing", "claimed_at_ms": 1, "beat_at_ms": beat_at_ms, "status": status,
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        Item::new(keys::lease(run, worker, 0), serde_json::to_vec(&lease).unwrap())
    });
    store.put_all(items.collect()).await.unwrap();
}

/// Windows as the keeper writes them.
async fn played(store: &dyn Store, run: RunId, seconds: std::ops::Range<u64>) {
    let items = seconds.map(|at| {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&rmp_serde::to_vec_named(&window(at, 8, 400)).unwrap()).unwrap();
        Item::new(Key::new(format!("rollup/{run}/1"), format!("{at:010}")), packer.finish().unwrap())
    });
    store.put_all(items.collect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_look_costs_little() {
    let store = Arc::new(Counted::default());
    let (service, fleet, _) = over(store.clone(), "");
    let (access, tokens) = behind_gateway().await;
    let router = router(service, access);
    let launched = handle(router.clone(), event("POST", "/v1/runs", ARN, Some(&launch()))).await;
    let run = RunId(u64::from_str_radix(&launched.headers["location"]["/v1/runs/".len()..], 16).unwrap());
    // As if it had been launched on a thousand workers, ten minutes ago.
    let record = keys::of_run(run, "record");
    let (mut value, version) = get_json::<Value>(&*store, &record).await.unwrap().unwrap();
    let now_ms = fleet.clock().now_ms();
    (value["workers"], value["start_at_ms"], value["state"]) =
        (1_000.into(), (now_ms - 600_000).into(), "running".into());
    put_json(&*store, record, &value, Expect::Version(version)).await.unwrap();
    staffed(&*store, run, 1_000, now_ms).await;
    played(&*store, run, 0..600).await;
    let cookie = cookie(&tokens, "wall", Role::Look).await;
    let ask = |last: String| {
        let mut event = browse("GET", &format!("/data/runs/{run}/live"), Some(&cookie), None);
        event["headers"]["last-event-id"] = last.into();
        handle(router.clone(), event)
    };
    store.taken();
    let first = ask("590-0".into()).await;
    let (calls, units) = store.taken();
    println!("the first look: {calls} calls, {units} units, {} bytes in base64", first.body.len());
    let mut last = told(&first).last().unwrap().0.clone();
    let (mut looks, mut all_calls, mut all_units, mut bytes) = (0, 0, 0, 0);
    for at in 0..15 {
        tokio::time::advance(Duration::from_secs(4)).await;
        played(&*store, run, 600 + at * 4..604 + at * 4).await;
        staffed(&*store, run, 1_000, fleet.clock().now_ms()).await;
        store.taken();
        let answer = ask(last).await;
        let (calls, units) = store.taken();
        let all = told(&answer);
        assert_eq!(names(&all).iter().filter(|name| **name == "figures").count(), 4, "{:?}", names(&all));
        last = all.last().unwrap().0.clone();
        (looks, all_calls, all_units) = (looks + 1, all_calls + calls, all_units + units);
        bytes += answer.body.len() * 3 / 4;
        // Another who looks within the second costs nothing more.
        ask("600-0".into()).await;
        assert!(store.taken().0 <= 1, "what was read is shared");
    }
    println!("{looks} looks: {all_calls} calls, {all_units} units, {bytes} bytes, packed");
    assert!(all_calls / looks <= 25 && all_units / looks <= 400, "{all_calls} calls, {all_units} units");
    assert!(bytes / looks < 40_000, "{bytes} bytes");
}
