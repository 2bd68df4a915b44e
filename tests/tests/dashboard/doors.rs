//! Who comes in: tokens of nobody, other origins, and hands that have only a keyboard.

use std::sync::Arc;
use std::time::Duration;

use fantoccini::Locator;
use fantoccini::key::Key;
use loadkit::core::RunId;
use loadkit_fleet::Tokens;
use loadkit_fleet::api::Access;
use loadkit_fleet::{Caller, Role, RunState};
use loadkit_worker::{MemoryStore, SystemClock};

use crate::stage::{Served, Stage, line, playing, run, window};
use loadkit_tests::Browser;

const RUN: u64 = 0xabc;

fn stage() -> Stage {
    let stage = Stage::default();
    stage.change(|play| {
        let record = run(RUN, Duration::from_secs(30), 2);
        play.lines.push(line(&record));
        play.windows = (0..25).map(|at| window(at, 1, &["login"])).collect();
        play.standing.crew = playing(2, 0);
        play.records.push(record);
    });
    stage
}

#[tokio::test]
async fn a_token_of_nobody_opens_nothing() {
    let Some(browser) = Browser::open().await else { return };
    let tokens = Tokens::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let made = tokens.create("ops", Role::Launch, &Caller { name: "test".into() }).await.unwrap();
    let served = Served::with(&stage(), "127.0.0.1:0".parse().unwrap(), Access::Tokens(tokens.clone())).await;
    let path = format!("/runs/{}", RunId(RUN));
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&path)).await;
    assert!(browser.text("main").await.contains("wants to know who looks"));
    browser.fill("#token", "lk_nobody").await;
    browser.click(".login button").await;
    browser.until("document.querySelector('.login [role=alert]')").await;
    assert_eq!(browser.is("document.cookie").await, "", "scripts see no cookie");
    // A cookie of nobody is one, too.
    let cookie = serde_json::json!({ "name": "loadkit", "value": "lk_of_nobody_at_all", "url": served.url("/") });
    browser.tell("Network.setCookie", cookie).await;
    browser.goto(&served.url(&path)).await;
    assert!(browser.is("document.querySelector('#token') && !document.querySelector('#run')").await.as_bool().unwrap());
    let status =
        "const done = arguments[0]; fetch('/data/runs/0000000000000abc/series').then((answer) => done(answer.status));";
    assert_eq!(browser.client.execute_async(status, Vec::new()).await.unwrap(), 401);
    // A true one opens, until it is revoked.
    browser.fill("#token", &made.token).await;
    browser.click(".login button").await;
    browser.until("document.querySelector('.runs')").await;
    browser.goto(&served.url(&path)).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    browser.click(".who button").await;
    browser.until("document.querySelector('#token')").await;
    browser.goto(&served.url(&path)).await;
    assert_eq!(browser.is("document.querySelector('#run') === null").await, true, "who has left is out");
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let Some(browser) = Browser::open().await else { return };
    let (ours, theirs) = (stage(), stage());
    let served = Served::open(&ours, "127.0.0.1:0".parse().unwrap()).await;
    // Another service of the same machine: another port is another origin, though the same site.
    let other = Served::open(&theirs, "127.0.0.1:0".parse().unwrap()).await;
    let stop = served.url(&format!("/runs/{}/stop", RunId(RUN)));
    browser.goto(&other.url("/login")).await;
    browser.until("document.querySelector('#token')").await;
    // A form is the one thing that a page may send anywhere, where no policy of its own forbids it.
    browser.tell("Page.setBypassCSP", serde_json::json!({ "enabled": true })).await;
    browser.goto(&other.url("/login")).await;
    let send = format!(
        "(() => {{ const form = document.createElement('form'); form.method = 'post'; form.action = '{stop}'; \
         document.body.append(form); form.submit(); return 1; }})()"
    );
    browser.is(&send).await;
    browser.until("document.querySelector('.sorry')").await;
    assert!(browser.text("main").await.contains("another origin"), "{}", browser.text("main").await);
    // Nor does it read anything.
    browser.goto(&other.url("/login")).await;
    let read = "const done = arguments[1]; fetch(arguments[0]).then(() => done('read'), () => done('refused'));";
    let series = served.url(&format!("/data/runs/{}/series", RunId(RUN)));
    assert_eq!(browser.client.execute_async(read, vec![series.into()]).await.unwrap(), "refused");
    assert_eq!(ours.done(), [""; 0]);
}

/// What has the focus: its id, or its words.
const FOCUS: &str = "((e) => e.id || e.textContent.trim().slice(0, 40))(document.activeElement)";

#[tokio::test]
async fn a_keyboard_is_enough_to_stop_a_run() {
    let Some(browser) = Browser::open().await else { return };
    let stage = stage();
    let served = Served::open(&stage, "127.0.0.1:0".parse().unwrap()).await;
    browser.screen(1_280, 900, false).await;
    browser.goto(&served.url(&format!("/runs/{}", RunId(RUN)))).await;
    browser.until("document.querySelector('#age').textContent.startsWith('Live.')").await;
    let press = async |key: Key| {
        let active = browser.client.active_element().await.unwrap();
        active.send_keys(&char::from(key).to_string()).await.unwrap();
    };
    let mut seen = Vec::new();
    let to = async |words: &str, seen: &mut Vec<String>| {
        for _ in 0..40 {
            press(Key::Tab).await;
            let focus = browser.is(FOCUS).await.as_str().unwrap().to_owned();
            let is_it = focus == words;
            seen.push(focus);
            if is_it {
                let edge = browser.is("getComputedStyle(document.activeElement).outlineStyle").await;
                assert_eq!(edge, "solid", "it is seen where the focus is: {words}");
                return;
            }
        }
        panic!("{words} was never reached: {seen:?}");
    };
    browser.client.find(Locator::Css("body")).await.unwrap();
    to("To the content", &mut seen).await;
    to("Stop…", &mut seen).await;
    press(Key::Enter).await;
    browser.until("document.querySelector('#stop[open]')").await;
    assert_eq!(stage.done(), [""; 0], "one key stops nothing");
    to("Yes, stop the run", &mut seen).await;
    press(Key::Enter).await;
    browser.until("document.querySelector('#state').textContent.includes('draining')").await;
    assert_eq!(stage.done(), ["stop false by local"]);
    stage.change(|play| play.records[0].state = RunState::Ended);
}
