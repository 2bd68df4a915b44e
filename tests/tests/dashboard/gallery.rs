//! Every page on a phone, a desk and a wall, by day and by night: that it fits, that something is drawn, and that nobody is
//! kept out. With `LOADKIT_TEST_GALLERY` it leaves the pictures of docs/dashboard.md.

use loadkit::core::RunId;
use loadkit_fleet::Tokens;
use loadkit_fleet::api::Access;
use loadkit_worker::{MemoryStore, SystemClock};
use std::sync::Arc;

use crate::evening::{LIVE, catch_up, done, evening};
use crate::stage::Served;
use loadkit_tests::Browser;

/// Their names and sizes, and how small their pictures are.
const SCREENS: [(&str, u32, u32, f64); 3] =
    [("phone", 390, 844, 0.8), ("desk", 1_280, 900, 0.7), ("wall", 3_840, 2_160, 0.4)];

/// A page: its name, its address, and what is waited for.
struct Page {
    name: &'static str,
    address: String,
    until: &'static str,
}

/// Something is drawn on all canvases that are shown: one that was never painted is clear everywhere.
const DRAWN: &str = "[...document.querySelectorAll('canvas')].filter((one) => one.width && one.checkVisibility()).every((one) => \
                     one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some((byte) => byte > 0))";

#[tokio::test]
async fn pages_fit_a_phone_and_a_wall_by_day_and_by_night() {
    let Some(browser) = Browser::open().await else { return };
    let stage = tokio::task::spawn_blocking(evening).await.unwrap();
    let here = "127.0.0.1:0".parse().unwrap();
    let open = Served::open(&stage, here).await;
    let tokens = Access::Tokens(Tokens::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock)));
    let closed = Served::with(&stage, here, tokens).await;
    let compared = [7, 4, 5].map(|build| format!("run={}", done(build))).join("&");
    let page = |name, address: String, until| Page { name, address, until };
    let pages = [
        page("runs", open.url("/"), "document.querySelector('#trend').dataset.ready"),
        page(
            "live",
            open.url(&format!("/runs/{LIVE}")),
            "document.querySelector('#age').textContent.startsWith('Live')",
        ),
        page("done", open.url(&format!("/runs/{}", done(5))), "document.querySelector('#run').dataset.ready"),
        page(
            "compare",
            open.url(&format!("/compare?{compared}")),
            "document.querySelector('#distributions').dataset.ready",
        ),
        page("launch", open.url("/launch?plan=evening.toml"), "document.querySelector('#estimate')"),
        page("sign-in", closed.url("/"), "document.querySelector('#token')"),
        page("error", open.url(&format!("/runs/{}", RunId(0xdead))), "document.querySelector('.sorry')"),
    ];
    for Page { name, address, until } in pages {
        for (screen, width, height, scale) in SCREENS {
            for (time, is_dark) in [("night", true), ("day", false)] {
                browser.screen(width, height, is_dark).await;
                catch_up(&stage);
                browser.goto(&address).await;
                if name == "launch" {
                    browser.click("button[value=estimate]").await;
                }
                browser.until(until).await;
                browser.until(DRAWN).await;
                browser.fits().await;
                if name == "compare" {
                    let said = "[document.querySelectorAll('.candidate').length, \
                                document.querySelectorAll('#side-by-side thead th.n').length, \
                                Chart.getChart('chart-distribution').data.datasets.length].join()";
                    assert_eq!(browser.is(said).await, "2,3,3", "three runs, of which two are held against the first");
                }
                let paper = browser.is("getComputedStyle(document.body).backgroundColor").await;
                assert_eq!(paper, if is_dark { "rgb(23, 23, 23)" } else { "rgb(255, 255, 255)" });
                browser.picture(&format!("{name}-{screen}-{time}")).await;
                // Of a wall those that hang there.
                if screen != "wall" || (name, is_dark) == ("live", true) {
                    browser.exhibit(&format!("{name}-{screen}-{time}"), scale).await;
                }
                // Each colour and each layout once.
                if is_dark != (screen == "desk") {
                    assert_eq!(browser.barriers().await.unwrap_or_default(), [""; 0], "{name} on a {screen} by {time}");
                }
                if (name, screen) == ("live", "wall") {
                    let below = "Math.max(...[...document.querySelectorAll('.chart')].map((one) => one.getBoundingClientRect().bottom))";
                    let below = browser.is(below).await.as_f64().unwrap();
                    assert!(below <= 2_160.0, "all charts are in the first view of a wall: {below}");
                }
            }
        }
    }
    open.end().await;
    closed.end().await;
}
