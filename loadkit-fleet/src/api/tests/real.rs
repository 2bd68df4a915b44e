//! The front door before the real fleet, over a store in memory. Nobody plays: workers are what these tests say over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use loadkit_worker::{Expect, Job, MemoryStore, Parcels, StopWord, Store, Terms, VirtualClock, keys, put_json};

use super::fake::{Answer, ask, launch};
use crate::api::{Access, FleetService, router};
use crate::crew::Crew;
use crate::fleet::Fleet;
use crate::guarded::Guarded;
use crate::keeper::keep;
use crate::launcher::{Home, Launcher, Quotas};
use crate::notify::{Happening, Notifier};
use crate::policy::Policy;
use crate::record::RunState;
use crate::settings::{Settings, WorkerLine};

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Launcher for Nobody {
    fn home(&self) -> Home {
        Home::Local
    }

    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>> {
        jobs.iter().map(|_| Err("nobody is started here".into())).collect()
    }

    async fn quotas(&self) -> Result<Quotas, String> {
        Ok(Quotas { workers: Some(4), ..Quotas::default() })
    }

    async fn end(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Vec<Happening>>);

#[async_trait]
impl Notifier for Told {
    async fn tell(&self, happening: &Happening) -> Result<(), String> {
        self.0.lock().unwrap().push(happening.clone());
        Ok(())
    }
}

pub(super) fn fleet(policy: &str) -> (Router, Fleet, Arc<Told>) {
    let (service, fleet, told) = over(Arc::new(MemoryStore::new()), policy);
    (router(service, Access::Open), fleet, told)
}

/// The service over a store.
pub(super) fn over(store: Arc<dyn Store>, policy: &str) -> (Arc<FleetService>, Fleet, Arc<Told>) {
    let policy = Policy::parse(policy, "policy.toml").unwrap();
    let told = Arc::new(Told::default());
    let guard = Arc::new(Guarded::new(policy.clone(), Terms::default()));
    let settings = Settings::near(WorkerLine::Http { url: "http://127.0.0.1:1".into() });
    let launchers: [Arc<dyn Launcher>; 1] = [Arc::new(Nobody)];
    let clock = Arc::new(VirtualClock::new(Duration::from_secs(1_000)));
    let fleet = Fleet::new(store, launchers, told.clone(), guard, clock, settings);
    (Arc::new(FleetService::new(fleet.clone(), policy)), fleet, told)
}

fn id(launched: &Answer) -> String {
    launched.headers["location"].to_str().unwrap().trim_start_matches("/v1/runs/").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_run_of_the_real_fleet() {
    let (router, fleet, told) = fleet("[[rules]]\nname = \"small\"\nnetworks = [\"loopback\"]\nplayers = 150\n");
    let launched = ask(&router, "POST", "/v1/runs", &[], &launch()).await;
    assert_eq!(launched.status.as_u16(), 202, "{}", launched.text);
    let run = id(&launched);
    let path = |rest: &str| format!("/v1/runs/{run}{rest}");
    assert_eq!(ask(&router, "GET", &path(""), &[], "").await.json()["state"], "assembling");
    assert_eq!(ask(&router, "GET", &path("/report"), &[], "").await.status.as_u16(), 404);
    assert_eq!(ask(&router, "GET", &path("/files"), &[], "").await.status.as_u16(), 404);

    // 100 players turned up to 200 are more than the rule allows.
    assert_eq!(ask(&router, "POST", &path("/dial"), &[], "{\"dial\":1.5}").await.status.as_u16(), 202);
    let refused = ask(&router, "POST", &path("/dial"), &[], "{\"dial\":2.0}").await;
    assert_eq!((refused.status.as_u16(), refused.json()["rule"].as_str()), (403, Some("small")));

    // A worker claims, reports twice the same, and closes.
    let number = loadkit_core::RunId(u64::from_str_radix(&run, 16).unwrap());
    let token = format!("Bearer {}", fleet.worker_token(number).await.unwrap());
    let own = [("authorization", token.as_str())];
    let who = serde_json::json!({ "run": number, "worker": 0, "attempt": 0 });
    let status = serde_json::json!({ "home": "local" });
    let claim = serde_json::json!({ "who": who, "status": status }).to_string();
    let granted = ask(&router, "POST", "/v1/workers/claim", &own, &claim).await;
    assert_eq!(
        (granted.json()["claim"].as_str(), granted.json()["command"]["dial"].as_f64()),
        (Some("granted"), Some(1.5))
    );
    assert_eq!(ask(&router, "POST", "/v1/workers/claim", &own, &claim).await.json()["claim"], "taken");
    let wrong = [("authorization", "Bearer of-another-run")];
    assert_eq!(ask(&router, "POST", "/v1/workers/claim", &wrong, &claim).await.status.as_u16(), 401);
    let key = loadkit_core::SnapshotKey { run: number, worker: 0, shard: 0, attempt: 0, seq: 0 };
    let parcels = Parcels::new(number, 0, 0).pack(&[loadkit_core::Snapshot::empty(key, 0, 1_000_000)]).unwrap();
    let texts: Vec<String> = parcels.iter().map(loadkit_worker::Parcel::to_text).collect();
    let report = serde_json::json!({ "who": who, "texts": texts }).to_string();
    for _ in 0..2 {
        assert_eq!(ask(&router, "POST", "/v1/workers/report", &own, &report).await.json()["taken"], 1);
    }
    let stored = fleet.store().list(&format!("parcel/{run}/0000"), "", None, 10).await.unwrap();
    assert_eq!(stored.items.len(), 1);

    let stopped = ask(&router, "POST", &path("/stop"), &[], "").await;
    assert_eq!(stopped.status.as_u16(), 202, "{}", stopped.text);
    let beat = serde_json::json!({ "who": who, "phase": "playing", "status": status }).to_string();
    assert_eq!(ask(&router, "POST", "/v1/workers/beat", &own, &beat).await.json()["command"]["stop"], "drain");
    let names: Vec<&str> = told.0.lock().unwrap().iter().map(Happening::name).collect();
    assert_eq!(names, ["launched", "stopped"]);
}

/// A caller who did not hear the answer asks again.
#[tokio::test(start_paused = true)]
async fn what_is_launched_under_a_name_is_launched_once() {
    let (router, fleet, told) = fleet("");
    let named = |once: &str, bots: u32| {
        let plan = format!("target = \"127.0.0.1:1\"\nbots = {bots}\nduration = \"1m\"\n");
        serde_json::json!({ "plan": plan, "once": once }).to_string()
    };
    let (one, other) = (named("build 7", 5), named("build 8", 5));
    let (first, beside) =
        tokio::join!(ask(&router, "POST", "/v1/runs", &[], &one), ask(&router, "POST", "/v1/runs", &[], &one));
    tokio::time::advance(Duration::from_secs(30)).await;
    let again = ask(&router, "POST", "/v1/runs", &[], &one).await;
    assert_eq!([&first, &beside, &again].map(|answer| answer.status.as_u16()), [202; 3], "{}", again.text);
    assert_eq!((first.json(), beside.json()), (again.json(), again.json()));
    let next = ask(&router, "POST", "/v1/runs", &[], &other).await;
    assert_ne!(id(&next), id(&first));
    let mistaken = ask(&router, "POST", "/v1/runs", &[], &named("build 7", 6)).await;
    assert_eq!(mistaken.status.as_u16(), 400);
    assert!(mistaken.error().contains("was launched as \"build 7\""), "{}", mistaken.text);
    let long = ask(&router, "POST", "/v1/runs", &[], &named(&"x".repeat(201), 5)).await;
    assert!(long.error().contains("at most 200"), "{}", long.text);
    let runs = fleet.list(None, 10).await.unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(told.0.lock().unwrap().len(), 2, "each is told once");

    // Whoever asks again leaves the list to its writers.
    let run = loadkit_core::RunId(u64::from_str_radix(&id(&next), 16).unwrap());
    fleet.change(run, |record| record.state = RunState::Ended).await.unwrap();
    let ended = ask(&router, "POST", "/v1/runs", &[], &other).await;
    assert_eq!((ended.json()["state"].as_str(), fleet.list(None, 10).await.unwrap()), (Some("ended"), runs));
}

/// A launch that was cut off before its record is gone on with: its start is the one that workers may have been told of.
#[tokio::test(start_paused = true)]
async fn a_launch_that_was_cut_off_is_gone_on_with() {
    let (router, fleet, _) = fleet("");
    let request = serde_json::json!({ "plan": "target = \"127.0.0.1:1\"\nbots = 5\nduration = \"1m\"\n", "once": "x" });
    let first = ask(&router, "POST", "/v1/runs", &[], &request.to_string()).await;
    let run = loadkit_core::RunId(u64::from_str_radix(&id(&first), 16).unwrap());
    fleet.store().delete_all(vec![keys::record(run)]).await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    let second = ask(&router, "POST", "/v1/runs", &[], &request.to_string()).await.json();
    assert_eq!(second["start_at_ms"], first.json()["start_at_ms"]);
    assert_eq!(second["seed"], first.json()["seed"]);

    // Another plan under its name is none of it, also where only the order was written.
    fleet.store().delete_all(vec![keys::record(run)]).await.unwrap();
    let other = serde_json::json!({ "plan": "target = \"127.0.0.1:1\"\nbots = 6\nduration = \"1m\"\n", "once": "x" });
    let mistaken = ask(&router, "POST", "/v1/runs", &[], &other.to_string()).await;
    assert_eq!(mistaken.status.as_u16(), 400, "{}", mistaken.text);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_happenings() {
    let (router, _, told) = fleet("");
    let plan = |target: &str, bots: u32| {
        let plan = format!("target = \"{target}\"\nbots = {bots}\nduration = \"1m\"\n");
        serde_json::json!({ "plan": plan }).to_string()
    };
    let far = ask(&router, "POST", "/v1/runs", &[], &plan("93.184.216.34:1", 5)).await;
    assert_eq!(far.status.as_u16(), 403, "{}", far.text);
    let many = ask(&router, "POST", "/v1/runs", &[], &plan("127.0.0.1:1", 50_000)).await;
    assert_eq!(many.status.as_u16(), 429, "{}", many.text);
    assert!(many.json()["rule"].as_str().unwrap().starts_with("quota: "), "{}", many.text);
    // An estimate says what would be needed, names all that would refuse it, and refuses nothing.
    let estimate = ask(&router, "POST", "/v1/estimate", &[], &plan("93.184.216.34:1", 50_000)).await.json();
    assert_eq!((estimate["quotas"][0]["need"].as_u64(), estimate["quotas"][0]["have"].as_u64()), (Some(20), Some(4)));
    let rules: Vec<&str> =
        estimate["refusals"].as_array().unwrap().iter().map(|refusal| refusal["rule"].as_str().unwrap()).collect();
    assert_eq!((rules.len(), Some(rules[0])), (2, far.json()["rule"].as_str()), "{rules:?}");
    assert_eq!(Some(rules[1]), many.json()["rule"].as_str());
    let fine = ask(&router, "POST", "/v1/estimate", &[], &launch()).await.json();
    assert_eq!(fine["refusals"].as_array().map(Vec::len), Some(0));
    let bad = ask(&router, "POST", "/v1/runs", &[], "{\"plan\":\"bost = 1\"}").await;
    assert!(bad.error().contains("did you mean `bots`?"), "{}", bad.text);
    let names: Vec<&str> = told.0.lock().unwrap().iter().map(Happening::name).collect();
    assert_eq!(names, ["refused", "refused"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_where_it_was_left() {
    let (router, _, _) = fleet("");
    for _ in 0..5 {
        ask(&router, "POST", "/v1/runs", &[], &launch()).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = ask(&router, "GET", &format!("/v1/runs?limit=2&by=local{after}"), &[], "").await.json();
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["created_at_ms"].as_u64().unwrap()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1_004_000, 1_003_000, 1_002_000, 1_001_000, 1_000_000]);
    assert_eq!(ask(&router, "GET", "/v1/runs?after=nowhere", &[], "").await.status.as_u16(), 400);
    let none = ask(&router, "GET", "/v1/runs?state=ended", &[], "").await.json();
    assert_eq!((none["runs"].as_array().unwrap().len(), none.get("next")), (0, None));
}

/// The events of a stream: id, kind, data.
fn events(text: &str) -> Vec<(String, String, serde_json::Value)> {
    let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    let event = |block: &str| {
        let data = serde_json::from_str(&field(block, "data: ")?).unwrap();
        Some((field(block, "id: ")?, field(block, "event: ")?, data))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn live_events_tell_what_happens_and_go_on_where_they_were_left() {
    let (router, fleet, _) = fleet("");
    let run = id(&ask(&router, "POST", "/v1/runs", &[], &launch()).await);
    let number = loadkit_core::RunId(u64::from_str_radix(&run, 16).unwrap());
    let path = format!("/v1/runs/{run}/events");
    let crew = |claimed| Crew { workers: 1, claimed, ..Crew::default() };
    let put = async |claimed| {
        put_json(&**fleet.store(), keys::of_run(number, "crew"), &crew(claimed), Expect::Any).await.unwrap();
    };
    let listening = ask(&router, "GET", &path, &[], "");
    let ending = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        put(0).await;
        fleet.change(number, |record| record.note(7, "a cloud frowned")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        put(1).await;
        fleet.end(number, crate::Ending::Failed, |record| record.note(9, "nobody came")).await.unwrap();
    };
    let (heard, ()) = tokio::join!(listening, ending);
    let told = events(&heard.text);
    let kinds: Vec<&str> = told.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["state", "workers", "note", "workers", "note", "ended"], "{}", heard.text);
    assert_eq!((told[1].2["claimed"].as_u64(), told[3].2["claimed"].as_u64()), (Some(0), Some(1)));
    assert_eq!(told[2].2, serde_json::json!({ "at_ms": 7, "text": "a cloud frowned" }));
    // What is told once is not in the record again.
    assert_eq!(
        (told[5].2["ending"].as_str(), told[5].2.get("notes"), told[5].2.get("request")),
        (Some("failed"), None, None)
    );
    let ids: Vec<u64> = told.iter().map(|(id, ..)| id.parse().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");

    // Whoever comes back hears what is behind the event, of what is still known: counts are the latest.
    for (nth, rest) in
        [(0, "workers note note ended"), (1, "workers note note ended"), (2, "workers note ended"), (4, "ended")]
    {
        let again = ask(&router, "GET", &path, &[("last-event-id", told[nth].0.as_str())], "").await;
        let again = events(&again.text);
        let kinds: Vec<&str> = again.iter().map(|(_, kind, _)| kind.as_str()).collect();
        assert_eq!(kinds.join(" "), rest, "behind {nth}");
        assert_eq!(again.last(), told.last());
    }
    let over = ask(&router, "GET", &path, &[("last-event-id", told[5].0.as_str())], "").await;
    assert_eq!(over.status.as_u16(), 204);
    // A run that never began has no report, and says where it is said why.
    for what in ["/report", "/files", "/report/report.html"] {
        let none = ask(&router, "GET", &format!("/v1/runs/{run}{what}"), &[], "").await;
        assert_eq!((none.status.as_u16(), none.error().contains("it never began")), (404, true), "{}", none.text);
    }
}

/// The start is put off for a worker whose set-up takes longer than usual, and the counts of workers are told.
#[tokio::test(start_paused = true)]
async fn a_run_waits_for_a_worker_that_is_not_set_up() {
    let (router, fleet, _) = fleet("");
    let run = id(&ask(&router, "POST", "/v1/runs", &[], &launch()).await);
    let number = loadkit_core::RunId(u64::from_str_radix(&run, 16).unwrap());
    let token = format!("Bearer {}", fleet.worker_token(number).await.unwrap());
    let own = [("authorization", token.as_str())];
    let say = async |call: &str, preparing: bool, phase: &str| {
        let who = serde_json::json!({ "run": number, "worker": 0, "attempt": 0 });
        let status = serde_json::json!({ "home": "local", "name": "w", "preparing": preparing });
        let body = serde_json::json!({ "who": who, "status": status, "phase": phase }).to_string();
        let answer = ask(&router, "POST", &format!("/v1/workers/{call}"), &own, &body).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        answer.json()["command"]["start_at_ms"].as_u64().unwrap()
    };
    let playing = async {
        let mut start = say("claim", true, "waiting").await;
        let first = start;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            start = say("beat", true, "waiting").await;
            assert_eq!(fleet.show(number).await.unwrap().state, crate::RunState::Assembling);
        }
        assert!(start > first + 15_000, "{first} {start}");
        start = say("beat", false, "waiting").await;
        while fleet.clock().now_ms() < start + 2_000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            start = say("beat", false, "playing").await;
        }
        let record = fleet.show(number).await.unwrap();
        assert_eq!((record.state, record.start_at_ms), (crate::RunState::Running, start));
        fleet.stop(number, StopWord::Now, "a test").await.unwrap();
    };
    let keeping = keep(&fleet, number, Duration::from_secs(60));
    let (kept, ()) = tokio::join!(keeping, playing);
    kept.unwrap();
    let told = ask(&router, "GET", &format!("/v1/runs/{run}/events?after=0"), &[], "").await;
    let counts: Vec<serde_json::Value> =
        events(&told.text).into_iter().filter(|(_, kind, _)| kind == "workers").map(|(.., data)| data).collect();
    assert_eq!(counts.last().map(|crew| crew["workers"].clone()), Some(1.into()), "{}", told.text);
}
