//! `Settings -> a fleet that can be asked`: a service by its URL, or a fleet of this machine in this process.
//!
//! **Commands see one thing, a `FleetClient`**: a fleet of this machine is a service too, on loopback, with its runs in a file
//! of the project. So all commands do the same with both.

mod auth;
mod client;
mod events;
mod follow;
mod here;
mod kept;
mod order;
mod outcome;
mod screen;
mod signals;
mod trouble;

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use loadkit_core::RunId;
use loadkit_fleet::RunState;
use loadkit_fleet::api::Filter;

pub(crate) use auth::{Auth, no_credentials};
pub(crate) use client::FleetClient;
pub(crate) use follow::{Followed, Following, follow};
pub(crate) use here::{Kind, Mark, client_binary, data};
pub(crate) use kept::{fetch, save};
pub use order::OrderArgs;
pub(crate) use order::order;
pub(crate) use outcome::{Outcome, exit_of};
pub(crate) use screen::Screen;
pub(crate) use signals::Signals;
pub(crate) use trouble::apart;

use crate::exit::Failure;
use crate::output::Output;
use crate::settings::Settings;
use here::Here;

/// A fleet, and what of it is in this process.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) client: FleetClient,
    here: Option<Here>,
}

impl Opened {
    /// The fleet of the settings, to ask it about runs.
    pub(crate) async fn to_ask(settings: &Settings, output: &Output) -> Result<Opened, Failure> {
        Opened::open(settings, output, false).await
    }

    /// The fleet of the settings, to play.
    pub(crate) async fn to_play(settings: &Settings, output: &Output) -> Result<Opened, Failure> {
        Opened::open(settings, output, true).await
    }

    /// The fleet of the settings, or this machine, to ask what a run would take.
    pub(crate) async fn to_estimate(settings: &Settings, output: &Output) -> Result<Opened, Failure> {
        if settings.text("fleet").is_some() {
            return Opened::to_ask(settings, output).await;
        }
        let here = Here::to_estimate(settings).await?;
        let client = FleetClient::open(here.url(), Auth::Nobody, output).await?;
        Ok(Opened { client, here: Some(here) })
    }

    async fn open(settings: &Settings, output: &Output, plays: bool) -> Result<Opened, Failure> {
        if let Some(url) = settings.text("fleet") {
            let client = FleetClient::open(url, Auth::of(url, settings)?, output).await?;
            return Ok(Opened { client, here: None });
        }
        let data = here::data(settings);
        if let Some((client, kind)) = here::running(&data, settings).await {
            if plays && kind == Kind::Launch {
                return Err(Failure::failed(format!("a run is under way in this folder, at {}", client.url()))
                    .mended_by("wait for its end, `cargo loadkit stop latest`, or start a fleet for several: `cargo loadkit serve`"));
            }
            return Ok(Opened { client, here: None });
        }
        let here = if plays { Here::to_play(settings, &data, output).await? } else { Here::to_ask(&data).await? };
        let client = FleetClient::open(here.url(), Auth::Nobody, output).await?;
        Ok(Opened { client, here: Some(here) })
    }

    /// The same, which keeps asking for so long.
    pub(crate) fn patient(self, patience: Duration) -> Opened {
        Opened { client: self.client.patient(patience), ..self }
    }

    /// Whether the fleet ends with this process.
    pub(crate) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// Ends what of it is in this process.
    pub(crate) async fn close(self) {
        drop(self.client);
        if let Some(here) = self.here {
            here.end().await;
        }
    }
}

/// Does something with the fleet of the settings, and closes it.
pub(crate) async fn with<T>(
    opened: Opened,
    work: impl AsyncFnOnce(&Opened) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = work(&opened).await;
    opened.close().await;
    done
}

/// Runs it on threads of its own: a fleet of this machine goes on while somebody is asked something.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::missing(format!("the system gives no threads: {error}")))?;
    let done = runtime.block_on(work);
    // Whoever was asked something and has not answered is not waited for.
    runtime.shutdown_background();
    done
}

/// The run that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The latest one; one that plays goes before one that has ended.
    Latest,
    /// The one of this id.
    Id(RunId),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        if text == "latest" { Ok(Named::Latest) } else { run_id(text).map(Named::Id) }
    }
}

/// A run's id.
pub(crate) fn run_id(text: &str) -> Result<RunId, String> {
    let id = (text.len() == 16).then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| {
        "a run's id has 16 hexadecimal digits, and `latest` is the latest; `cargo loadkit runs` lists them".to_owned()
    })
}

/// Which run that is in this fleet.
pub(crate) async fn run_of(client: &FleetClient, named: Named) -> Result<RunId, Failure> {
    if let Named::Id(run) = named {
        return Ok(run);
    }
    for state in [Some(RunState::Running), None] {
        let filter = Filter { state, limit: Some(1), ..Filter::default() };
        if let Some(line) = client.list(&filter).await?.runs.first() {
            return Ok(line.id);
        }
    }
    Err(Failure::wrong_use(format!("the fleet at {} has no run yet", client.url())).mended_by("cargo loadkit launch"))
}
