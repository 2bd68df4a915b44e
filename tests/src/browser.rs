//! A headless Chromium, driven by its own driver over WebDriver.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Child, hold};
use base64::Engine as _;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

/// For anything that a page is waited for. A machine that does much else is slow.
const LIMIT: Duration = Duration::from_secs(90);

/// A browser with a page.
#[derive(Debug)]
pub struct Browser {
    /// What drives it.
    pub client: Client,
    // It ends with this.
    _driver: Child,
    _profile: tempfile::TempDir,
}

/// A command of Chromium's driver that WebDriver does not have.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base_url: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// The browser and its driver, or a word that one is missing.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let named = |variable: &str| {
        let path = env::var_os(variable).map(PathBuf::from);
        if path.is_none() {
            println!("left out: {variable} does not say where the program is");
        }
        path
    };
    Some((named("LOADKIT_TEST_CHROMIUM")?, named("LOADKIT_TEST_CHROMEDRIVER")?))
}

impl Browser {
    /// Opens one; none if there is none here.
    pub async fn open() -> Option<Browser> {
        let (chromium, chromedriver) = programs()?;
        let driver = Child::start(Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()));
        // `ChromeDriver was started successfully on port 41235.` comes behind a few other lines.
        let mut port = None;
        for _ in 0..10 {
            let line = driver.first_line(LIMIT);
            port = line
                .rsplit_once("started successfully on port ")
                .and_then(|(_, port)| port.trim_end_matches('.').parse::<u16>().ok());
            if port.is_some() {
                break;
            }
        }
        let profile = tempfile::tempdir().unwrap();
        let args = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        let capabilities = json!({
            "goog:chromeOptions": { "binary": chromium, "args": args }, "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let builder = builder.capabilities(Capabilities::from_iter(capabilities));
        let client = builder.connect(&format!("http://127.0.0.1:{}", port.unwrap())).await.unwrap();
        Some(Browser { client, _driver: driver, _profile: profile })
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Own { path, body }).await.unwrap()
    }

    /// A command of Chromium's protocol for developers.
    pub async fn tell(&self, command: &str, params: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    /// As on a screen of this width, by day or by night.
    pub async fn screen(&self, width: u32, height: u32, is_dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.tell("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tell("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Goes to an address.
    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What an expression is on the page.
    pub async fn is(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression};"), Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true on the page.
    pub async fn until(&self, expression: &str) {
        let began = Instant::now();
        // A page that is just left for another has no answer.
        while self.client.execute(&format!("return !!({expression});"), Vec::new()).await.ok()
            != Some(Value::Bool(true))
        {
            if began.elapsed() > LIMIT {
                let shows = self.is("document.body.innerText").await;
                panic!("never became true: {expression}\n{}", shows.as_str().unwrap_or_default());
            }
            // Time is real here, and the page's own.
            tokio::task::spawn_blocking(|| hold(Duration::from_millis(50))).await.unwrap();
        }
    }

    /// What an element shows.
    pub async fn text(&self, css: &str) -> String {
        self.client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    /// Clicks an element.
    pub async fn click(&self, css: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// Writes into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// What the browser complained of: what the policy refused, errors of scripts.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What axe finds of consequence: where people who see, hear or point otherwise are kept out. None if it is not there.
    pub async fn barriers(&self) -> Option<Vec<String>> {
        let folder = env::var_os("LOADKIT_TEST_AXE_NODE").map(PathBuf::from);
        let Some(folder) = folder else {
            println!("left out: LOADKIT_TEST_AXE_NODE does not say where axe-core is");
            return None;
        };
        let axe = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap();
        self.client.execute(&axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[0]; axe.run().then((found) => done(found.violations.map((one) => \
                   ({ impact: one.impact, id: one.id, at: one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary) }))));";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        let severe =
            found.as_array().unwrap().iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        Some(severe.map(Value::to_string).collect())
    }

    /// Keeps a picture of the whole page where `LOADKIT_TEST_SCREENSHOTS` says.
    pub async fn picture(&self, name: &str) {
        self.shot("LOADKIT_TEST_SCREENSHOTS", name, "png", json!({})).await;
    }

    /// Keeps a picture of the whole page where `LOADKIT_TEST_GALLERY` says, as small as it can be read: those of the documents.
    pub async fn exhibit(&self, name: &str, scale: f64) {
        let size = "((e) => [e.scrollWidth, e.scrollHeight])(document.documentElement)";
        let (width, height): (f64, f64) = serde_json::from_value(self.is(size).await).unwrap();
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": scale });
        self.shot("LOADKIT_TEST_GALLERY", name, "webp", json!({ "quality": 30, "clip": clip })).await;
    }

    async fn shot(&self, variable: &str, name: &str, format: &str, more: Value) {
        let Some(folder) = env::var_os(variable).map(PathBuf::from) else { return };
        // What was resized is drawn with the next frames.
        let frames = "const done = arguments[0]; let n = 0; const next = () => (n++ < 5 ? requestAnimationFrame(next) : done());                       next();";
        self.client.execute_async(frames, Vec::new()).await.unwrap();
        let mut params = json!({ "format": format, "captureBeyondViewport": true });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.tell("Page.captureScreenshot", params).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.{format}")), bytes).unwrap();
    }

    /// That the page fits the screen: what is too wide scrolls in a frame of its own.
    pub async fn fits(&self) {
        let over = self.is("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        let widest = "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > screen.width + 1 \
                      && !e.closest('.scroll, pre')).slice(0, 5).map((e) => e.outerHTML.slice(0, 200))";
        assert_eq!(over, 0, "{}", self.is(widest).await);
    }
}
