//! A fleet of this machine in this process: its service on loopback, its runs in a file of the project.
//!
//! **While a service is over that file, its address lies beside it** ([`Mark`]), so that commands in other terminals reach it.
//! To be asked about runs that have ended, the file is served without keepers: nothing is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use loadkit_fleet::api::{Access, Door, FleetService};
use loadkit_fleet::{
    Fleet, Policy, ServeOptions, Serving, Settings as Terms, Silent, Unguarded, WorkerLine, open_store,
};
use loadkit_worker::{StopWord, SystemClock};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::auth::Auth;
use super::client::FleetClient;
use crate::exit::Failure;
use crate::output::Output;
use crate::package::project::Project;
use crate::settings::Settings;

/// Where the address of a service is, beside its data.
const MARK: &str = "service";
/// At most so many workers at a time.
const WORKERS: usize = 64;
/// Of the latest so many runs those are ended that were cut off.
const LATEST: usize = 50;
/// What is under way at the end gets so long.
const LEAVING: Duration = Duration::from_secs(5);

/// What the service over a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For whoever asks.
    Serve,
    /// For one run, with which it ends.
    Launch,
}

/// The address of a service beside its data, as long as this lives.
#[derive(Debug)]
pub(crate) struct Mark(PathBuf);

impl Mark {
    /// Says that the service over this data is at this URL.
    pub(crate) fn set(data: &Path, url: &str, kind: Kind) -> Result<Mark, Failure> {
        let path = data.join(MARK);
        let kind = if kind == Kind::Serve { "serve" } else { "launch" };
        let written = fs::create_dir_all(data).and_then(|()| fs::write(&path, format!("{kind} {url}\n")));
        written.map_err(|error| Failure::missing(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Mark(path))
    }

    fn read(data: &Path) -> Option<(String, Kind)> {
        let text = fs::read_to_string(data.join(MARK)).ok()?;
        let (kind, url) = text.trim().split_once(' ')?;
        let kind = if kind == "serve" { Kind::Serve } else { Kind::Launch };
        Some((url.to_owned(), kind))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // One that stays is found to be of nobody.
        let _ = fs::remove_file(&self.0);
    }
}

/// Where a fleet of this machine keeps its runs.
pub(crate) fn data(settings: &Settings) -> PathBuf {
    settings.path("data").unwrap_or_else(|| PathBuf::from("target/loadkit/fleet"))
}

/// The service that is over this data already.
pub(crate) async fn running(data: &Path, settings: &Settings) -> Option<(FleetClient, Kind)> {
    let (url, kind) = Mark::read(data)?;
    let auth = Auth::of(&url, settings).ok()?;
    // Nobody has to hear that a mark is old.
    let client = timeout(Duration::from_secs(2), FleetClient::open(&url, auth, &Output::new(false, true))).await;
    Some((client.ok()?.ok()?, kind))
}

/// A fleet of this machine.
#[derive(Debug)]
pub(crate) struct Here {
    url: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    _mark: Option<Mark>,
}

impl Here {
    /// One that plays: with keepers, and workers as processes.
    pub(crate) async fn to_play(settings: &Settings, data: &Path, output: &Output) -> Result<Here, Failure> {
        let client = client_binary(settings, output)?;
        let options = options(Some(data.to_owned()), client, settings.path("policy"));
        let serving = Serving::open(options).await.map_err(Failure::missing)?;
        let url = format!("http://{}", serving.addr());
        end_those_cut_off(serving.fleet(), output).await?;
        let mark = Mark::set(data, &url, Kind::Launch)?;
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serving.serve(async { drop(stopped.await) }));
        Ok(Here { url, stop, served, _mark: Some(mark) })
    }

    /// One that only answers what was.
    pub(crate) async fn to_ask(data: &Path) -> Result<Here, Failure> {
        if !data.is_dir() {
            return Err(Failure::missing("no fleet is named, and none of this machine has played in this folder")
                .mended_by("--fleet URL, LOADKIT_FLEET, or `cargo loadkit launch`, which plays here"));
        }
        let store = Arc::new(open_store(data).await.map_err(Failure::missing)?);
        let door = Door::open(([127, 0, 0, 1], 0).into(), Access::Open).await;
        let door = door.map_err(Failure::missing)?;
        let url = format!("http://{}", door.addr());
        let terms = Terms::near(WorkerLine::Http { url: url.clone() });
        let fleet = Fleet::new(store, [], Arc::new(Silent), Arc::new(Unguarded), Arc::new(SystemClock), terms);
        let service = Arc::new(FleetService::new(fleet, Policy::default()));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(door.serve(service, async { drop(stopped.await) }));
        Ok(Here { url, stop, served, _mark: None })
    }

    /// One that only reckons: it keeps nothing, and what its workers would be does not matter.
    pub(crate) async fn to_estimate(settings: &Settings) -> Result<Here, Failure> {
        let client = std::env::current_exe().map_err(Failure::missing)?;
        let policy = settings.path("policy");
        let serving = Serving::open(options(None, client, policy)).await.map_err(Failure::missing)?;
        let url = format!("http://{}", serving.addr());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serving.serve(async { drop(stopped.await) }));
        Ok(Here { url, stop, served, _mark: None })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it, and its workers.
    pub(crate) async fn end(self) {
        // Whoever does not listen any more has ended.
        let _ = self.stop.send(());
        let _ = timeout(LEAVING, self.served).await;
    }
}

/// On loopback, for this process and its workers.
fn options(data: Option<PathBuf>, client: PathBuf, policy: Option<PathBuf>) -> ServeOptions {
    let listen = ([127, 0, 0, 1], 0).into();
    ServeOptions { listen, data, client, policy, tokens: false, most_workers: WORKERS, webhook: None, plans: None }
}

/// Runs of a launch that was killed would be taken up again, and play beside the new one.
async fn end_those_cut_off(fleet: &Fleet, output: &Output) -> Result<(), Failure> {
    for run in fleet.unended(LATEST).await.map_err(Failure::missing)? {
        output.say(format_args!("the run {run} was cut off, and is ended"));
        // One that has ended meanwhile need not be told.
        let _ = fleet.stop(run, StopWord::Now, "a later launch").await;
    }
    Ok(())
}

/// The binary that workers of this machine are: the one of the settings, or built from the load client's crate.
pub(crate) fn client_binary(settings: &Settings, output: &Output) -> Result<PathBuf, Failure> {
    if let Some(client) = settings.get("client") {
        let path = PathBuf::from(&client.value);
        if path.is_file() {
            return Ok(path);
        }
        return Err(Failure::wrong_use(format!("{}: client: {} is no file", client.origin, path.display()))
            .mended_by("name the client's binary, built with loadkit's feature `worker`; or leave it out"));
    }
    let project = Project::find(settings.text("package"))?;
    let features = project.features(["worker"])?;
    let (package, bin) = (project.package.name.as_str(), project.bin.as_str());
    output.say(format_args!("building {bin} for this machine"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", package, "--bin", bin, "--features", &features.join(",")]);
    if output.is_json() {
        cargo.arg("--quiet");
    }
    cargo.env("LOADKIT_CLIENT_BUILD", settings.text("build").unwrap_or_default());
    let status = cargo.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.map_err(|error| Failure::missing(format!("cargo cannot be started: {error}")))?;
    if !status.success() {
        return Err(Failure::failed(format!("{bin} does not build for this machine")));
    }
    Ok(project.metadata.target_directory.as_std_path().join("release").join(bin))
}
