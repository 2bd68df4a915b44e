//! `Ask -> answer`: what is asked of a fleet service over HTTP, and asked again as long as that may help.
//!
//! **Whatever is asked may be asked twice**: a launch has a name, and all else says how it is to be. So a lost answer is asked
//! for again. Every try has a bound, and so has the time of all tries.

use std::time::Duration;

use loadkit_core::RunId;
use loadkit_fleet::api::{Dial, Filter, Health, RunList, Stop};
use loadkit_fleet::{Estimate, RunRecord, RunRequest};
use loadkit_http::http::{Response, StatusCode};
use loadkit_http::{Bytes, Http, Limits, Streamed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::auth::{Ask, Auth};
use super::trouble::{Trouble, apart, not_a_fleet, wrong_clock};
use crate::exit::Failure;
use crate::output::Output;

/// Of one try. A fleet gives up after 25 s, and API Gateway after 29.
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), call: Duration::from_secs(35), body: MAX_ANSWER };
/// The log of a long run's histograms is the longest answer.
const MAX_ANSWER: usize = 256 << 20;
/// An error is short.
const MAX_ERROR: usize = 64 << 10;
/// All tries together, where nobody says otherwise.
const GIVE_UP: Duration = Duration::from_secs(10);
/// Before the second try, and before each further one twice as long as before.
const PAUSE: Duration = Duration::from_millis(250);
/// But no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// All versions of a fleet that we can talk to have this in their records.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A fleet service, as its callers see it.
#[derive(Debug)]
pub(crate) struct FleetClient {
    url: String,
    http: Http,
    auth: Auth,
    give_up: Duration,
    output: Output,
}

impl FleetClient {
    /// The fleet at this URL. It is asked whether it is one, and of our version.
    ///
    /// # Errors
    /// With what to do.
    pub(crate) async fn open(url: &str, auth: Auth, output: &Output) -> Result<FleetClient, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let client = FleetClient { url, http: Http::new(LIMITS), auth, give_up: GIVE_UP, output: *output };
        client.greet().await?;
        Ok(client)
    }

    /// The same, which keeps trying for so long.
    #[must_use]
    pub(crate) fn patient(self, give_up: Duration) -> FleetClient {
        FleetClient { give_up, ..self }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether a fleet of our version is there.
    async fn greet(&self) -> Result<(), Failure> {
        let answer = self.ask(&get("/v1/health")).await?;
        let Ok(Health { version, .. }) = serde_json::from_slice(answer.body()) else {
            return Err(not_a_fleet(&format!("{} says nothing of its health", self.url)));
        };
        if is_ours(&version) {
            return Ok(());
        }
        Err(Failure::missing(format!("the fleet at {} is loadkit {version}, and this is {VERSION}", self.url))
            .mended_by(format!("cargo install cargo-loadkit --version {version}, or deploy the fleet anew")))
    }

    /// Launches a run; asked again under the same name, it is the same run.
    pub(crate) async fn launch(&self, request: &RunRequest) -> Result<RunRecord, Failure> {
        self.json(&post("/v1/runs", &body(request)?)).await
    }

    pub(crate) async fn estimate(&self, request: &RunRequest) -> Result<Estimate, Failure> {
        self.json(&post("/v1/estimate", &body(request)?)).await
    }

    pub(crate) async fn list(&self, filter: &Filter) -> Result<RunList, Failure> {
        let fields = serde_json::to_value(filter).unwrap_or_default();
        let pairs: Vec<(String, String)> = fields
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some((name.clone(), text.clone())),
                other => Some((name.clone(), other.to_string())),
            })
            .collect();
        let query: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.json(&Ask { query: &query, ..get("/v1/runs") }).await
    }

    pub(crate) async fn show(&self, run: RunId) -> Result<RunRecord, Failure> {
        self.json(&get(&format!("/v1/runs/{run}"))).await
    }

    pub(crate) async fn stop(&self, run: RunId, now: bool) -> Result<RunRecord, Failure> {
        self.json(&post(&format!("/v1/runs/{run}/stop"), &body(&Stop { now })?)).await
    }

    pub(crate) async fn dial(&self, run: RunId, dial: f64) -> Result<RunRecord, Failure> {
        self.json(&post(&format!("/v1/runs/{run}/dial"), &body(&Dial { dial })?)).await
    }

    /// A file of a run's report.
    pub(crate) async fn file(&self, run: RunId, name: &str) -> Result<Bytes, Failure> {
        let answer = self.ask(&get(&format!("/v1/runs/{run}/report/{name}"))).await?;
        Ok(answer.into_body())
    }

    /// A run's events behind this id, as they come; none if the run has ended and all is told. It is tried once.
    pub(crate) async fn events(&self, run: RunId, after: u64) -> Result<Option<Streamed>, Trouble> {
        let (path, after) = (format!("/v1/runs/{run}/events"), after.to_string());
        let ask = Ask { header: Some(("last-event-id", &after)), ..get(&path) };
        let clock = self.auth.clock().map(|clock| (clock.own_ms(), clock));
        let request = self.auth.request(&self.url, &ask).await?;
        let answer = self.http.open(request).await.map_err(|error| Trouble::unanswered(&error))?;
        if let Some((asked, clock)) = clock {
            clock.learn(asked, &answer.head().headers);
        }
        let status = answer.head().status;
        if status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if status.is_success() {
            return Ok(Some(answer));
        }
        let whole = answer.whole(LIMITS.call, MAX_ERROR).await.map_err(|error| Trouble::unanswered(&error))?;
        Err(Trouble::refused(status, whole.body(), self.auth.has_token()))
    }

    async fn json<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Failure> {
        let answer = self.ask(ask).await?;
        serde_json::from_slice(answer.body()).map_err(|error| {
            Failure::missing(format!("{} answers {} as this version does not read it: {error}", self.url, ask.path))
                .mended_by(format!("have the fleet and cargo-loadkit of one version; this is {VERSION}"))
        })
    }

    /// Asks, and asks again while that may help.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Failure> {
        let (began, mut pause, mut put_right) = (Instant::now(), PAUSE, false);
        loop {
            let why = match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Skewed(why)) => {
                    let ahead = self.auth.clock().and_then(|clock| clock.ahead_ms()).map(|(ms, _)| ms);
                    let Some(ms) = ahead.filter(|_| !put_right) else { return Err(wrong_clock(&why, ahead)) };
                    self.output.say(format_args!("warning: this machine's clock is {}; signed by AWS's", apart(ms)));
                    put_right = true;
                    continue;
                }
                Err(Trouble::Passing(why)) => why,
            };
            if began.elapsed() + pause > self.give_up {
                return Err(Failure::missing(format!("no answer from the fleet at {}: {why}", self.url)).mended_by(
                    "see whether it runs (`cargo loadkit serve` starts one here), and whether a VPN or proxy is needed",
                ));
            }
            if pause == PAUSE {
                self.output.say(format_args!("{why}; trying again for {} s", self.give_up.as_secs()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Trouble> {
        let clock = self.auth.clock().map(|clock| (clock.own_ms(), clock));
        let request = self.auth.request(&self.url, ask).await?;
        let answer = self.http.send(request).await.map_err(|error| Trouble::unanswered(&error))?;
        if let Some((asked, clock)) = clock {
            clock.learn(asked, answer.headers());
        }
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status => Err(Trouble::refused(status, answer.body(), self.auth.has_token())),
        }
    }
}

fn get(path: &str) -> Ask<'_> {
    Ask { method: "GET", path, query: &[], header: None, body: b"" }
}

fn post<'a>(path: &'a str, body: &'a [u8]) -> Ask<'a> {
    Ask { method: "POST", body, ..get(path) }
}

fn body(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::wrong_use(format!("the request cannot be written: {error}")))
}

/// Whether we can talk to a fleet of this version: before 1.0 each minor version may differ from the one before.
fn is_ours(version: &str) -> bool {
    let parts = |version: &str| -> Vec<String> { version.split('.').take(2).map(str::to_owned).collect() };
    let (ours, theirs) = (parts(VERSION), parts(version));
    let same = if ours.first().is_some_and(|major| major == "0") { 2 } else { 1 };
    ours.iter().take(same).eq(theirs.iter().take(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_ours_up_to_its_patch() {
        assert!(is_ours(VERSION));
        let (ours, _) = VERSION.rsplit_once('.').unwrap();
        assert!(is_ours(&format!("{ours}.99")) && !is_ours(&format!("9{ours}.0")) && !is_ours(""));
    }
}
