//! The launch page's plans, of a folder that the service was given.

use std::fs;
use std::sync::Arc;

use axum::Router;
use tempfile::TempDir;

use super::fake::ask;
use super::real::fleet;
use crate::api::{Access, FleetService, router};
use crate::plans::PlanFolder;
use crate::policy::Policy;

const GOOD: &str = "scenario = \"arena\"\ntarget = \"127.0.0.1:4000\"\nbots = 50\nduration = \"10m\"\n";
const HOSTILE: &str = "<img src=x onerror=alert(1)>&'\".toml";

fn offered(files: &[(&str, &str)]) -> (TempDir, Router) {
    let place = tempfile::tempdir().unwrap();
    let plans = place.path().join("plans");
    fs::create_dir(&plans).unwrap();
    for (name, text) in files {
        fs::write(plans.join(name), text).unwrap();
    }
    let folder = PlanFolder::open(plans).unwrap();
    let (_, fleet, _) = fleet("[[rules]]\nname = \"small\"\nnetworks = [\"loopback\"]\nplayers = 150\n");
    let service = FleetService::new(fleet, Policy::default()).with_plans(Some(folder));
    (place, router(Arc::new(service), Access::Open))
}

async fn page(router: &Router, path: &str) -> (u16, String) {
    let answer = ask(router, "GET", path, &[("host", "127.0.0.1:8080")], "").await;
    (answer.status.as_u16(), answer.text)
}

#[tokio::test(start_paused = true)]
async fn plans_of_the_folder_are_offered_as_they_are_now() {
    let (place, router) = offered(&[("evening.toml", GOOD)]);
    let (_, text) = page(&router, "/launch").await;
    assert!(text.contains("/launch?plan=evening.toml") && text.contains("arena, 50 players, 10m"), "{text}");
    assert!(!text.contains("bots = 50\nduration = &quot;10m&quot;\n</textarea>"), "none is chosen yet");
    let (_, text) = page(&router, "/launch?plan=evening.toml").await;
    assert!(text.contains("bots = 50\nduration = &quot;10m&quot;\n</textarea>"), "{text}");
    fs::write(place.path().join("plans/later.toml"), GOOD).unwrap();
    assert!(page(&router, "/launch").await.1.contains("/launch?plan=later.toml"));
    fs::remove_file(place.path().join("plans/evening.toml")).unwrap();
    let (status, text) = page(&router, "/launch?plan=evening.toml").await;
    assert!(
        status == 404 && text.contains("no plan evening.toml in the service's folder any more"),
        "{status}: {text}"
    );
}

#[tokio::test(start_paused = true)]
async fn broken_plans_and_hostile_names_are_shown_as_texts() {
    let (place, router) = offered(&[("a.toml", GOOD), ("b.toml", "durration = \"<b>1m\"\n"), (HOSTILE, GOOD)]);
    let (_, text) = page(&router, "/launch").await;
    assert!(!text.contains("<img") && !text.contains("<b>1m"), "{text}");
    assert!(text.contains("broken: ") && text.contains("durration"), "the reason stands there: {text}");
    let hostile = "/launch?plan=%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%26%27%22.toml";
    assert!(text.contains(&format!("href=\"{hostile}\"")), "{text}");
    assert_eq!(page(&router, hostile).await.0, 200);
    assert_eq!(page(&router, "/launch?plan=b.toml").await.0, 400);
    fs::write(place.path().join("outside.toml"), GOOD).unwrap();
    for outside in ["..%2Foutside.toml", "%2Fetc%2Fpasswd", "a.toml%00"] {
        let (status, text) = page(&router, &format!("/launch?plan={outside}")).await;
        assert!(status == 404 && !text.contains("bots = 50"), "{outside}: {status}");
    }
}
