//! The front door before the real fleet, over a store in memory. Nobody plays: workers are what these tests say over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use loadkit_worker::{Job, MemoryStore, Parcels, Terms, VirtualClock};

use super::fake::{Answer, ask, launch};
use crate::api::{Access, FleetService, router};
use crate::fleet::{Fleet, Settings, WorkerLine};
use crate::guard::Guarded;
use crate::launcher::{Home, Launcher, Quotas};
use crate::notify::{Happening, Notifier};
use crate::policy::Policy;

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
struct Told(Mutex<Vec<Happening>>);

#[async_trait]
impl Notifier for Told {
    async fn tell(&self, happening: &Happening) -> Result<(), String> {
        self.0.lock().unwrap().push(happening.clone());
        Ok(())
    }
}

fn fleet(policy: &str) -> (Router, Fleet, Arc<Told>) {
    let policy = Policy::parse(policy, "policy.toml").unwrap();
    let told = Arc::new(Told::default());
    let guard = Arc::new(Guarded::new(policy.clone(), Terms::default()));
    let settings = Settings::near(WorkerLine::Http { url: "http://127.0.0.1:1".into() });
    let launchers: [Arc<dyn Launcher>; 1] = [Arc::new(Nobody)];
    let clock = Arc::new(VirtualClock::new(Duration::from_secs(1_000)));
    let fleet = Fleet::new(Arc::new(MemoryStore::new()), launchers, told.clone(), guard, clock, settings);
    (router(Arc::new(FleetService::new(fleet.clone(), policy)), Access::Open), fleet, told)
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
    // An estimate says what would be needed, and refuses nothing.
    let estimate = ask(&router, "POST", "/v1/estimate", &[], &plan("127.0.0.1:1", 50_000)).await.json();
    assert_eq!((estimate["quotas"][0]["need"].as_u64(), estimate["quotas"][0]["have"].as_u64()), (Some(20), Some(4)));
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

#[tokio::test(start_paused = true)]
async fn live_events_follow_the_record() {
    let (router, fleet, _) = fleet("");
    let run = id(&ask(&router, "POST", "/v1/runs", &[], &launch()).await);
    let number = loadkit_core::RunId(u64::from_str_radix(&run, 16).unwrap());
    let path = format!("/v1/runs/{run}/events");
    let listening = ask(&router, "GET", &path, &[], "");
    let ending = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        fleet.end(number, crate::Ending::Failed, |record| record.note(1, "nobody came")).await.unwrap();
    };
    let (heard, ()) = tokio::join!(listening, ending);
    let events: Vec<&str> = heard.text.lines().filter(|line| line.starts_with("event: ")).collect();
    assert_eq!(events, ["event: state", "event: ended"], "{}", heard.text);
    assert!(heard.text.contains("nobody came") && !heard.text.contains("duration ="), "{}", heard.text);
    let last = heard.text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let again = ask(&router, "GET", &path, &[("last-event-id", last)], "").await;
    assert_eq!(again.status.as_u16(), 204);
}
