//! `settings -> Order`: all that a pipeline's step is to do, checked before anything is started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loadkit_core::{Plan, format_duration};

use super::address::{Address, PORT};
use super::baseline::Baselines;
use super::ready::Ready;
use super::server::{SERVER, Start};
use crate::exit::Failure;
use crate::settings::{Origin, Settings};

/// Where baselines are kept when nobody says where.
const BASELINES: &str = "loadkit-baseline";
/// Settings that go to the client as flags of the same name.
const PASSED_ON: [&str; 8] =
    ["scenario", "bots", "ramp", "duration", "min-effect", "min-time", "detect", "detect-errors"];

const DURATION: &str = "--duration";

/// What is to be done.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) package: Option<String>,
    pub(super) cargo_profile: String,
    /// The build of the server under test.
    pub(super) build: Option<String>,
    /// A client that is built already.
    pub(super) client: Option<PathBuf>,
    pub(super) plan: Option<PathBuf>,
    pub(super) report: PathBuf,
    /// How the server under test is started; if not at all, it is there already.
    pub(super) server: Option<Start>,
    pub(super) target: Address,
    pub(super) base: Base,
    pub(super) ready: Ready,
    pub(super) ready_within: Duration,
    pub(super) stop_within: Duration,
    pub(super) attempts: u64,
    /// How much longer both builds are played at most, if the gate has too little data.
    pub(super) longer: Duration,
    /// Flags for the client.
    flags: Vec<String>,
}

/// What the server under test is held against.
#[derive(Debug)]
pub(super) enum Base {
    /// The build before, both at once in one run. It is there already if it is not to be started.
    Both(Address, Option<Box<Start>>),
    /// Reports of earlier runs.
    Stored(Baselines),
}

impl Order {
    /// Reads what the settings say.
    pub(super) fn of(settings: &Settings) -> Result<Order, Failure> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let report = settings.path("report").unwrap_or_else(|| PathBuf::from("report"));
        let plan = settings.path("plan");
        let ready = Ready::parse(settings.text("ready").unwrap_or("port"))?;
        let read = plan.as_ref().map(Plan::load).transpose().map_err(Failure::wrong_use)?;
        // A load in stages has a length that means something.
        let is_fixed = read.as_ref().is_some_and(Plan::has_stages)
            && ["bots", "ramp", "duration"].iter().all(|name| settings.text(name).is_none());
        let target = target(settings, read.as_ref())?;
        let server = start(settings, SERVER, "server", &target, &report)?;
        let target = server.as_ref().map_or(target, |server| server.address.clone());
        let base = base(settings, &target, &report)?;
        let unstarted = server.is_none() && target.is_open();
        if unstarted {
            return Err(Failure::wrong_use(format!("the target {} waits for a server to be started", target.target()))
                .mended_by("give its command: --server 'COMMAND', or server = \"COMMAND\" in loadkit.toml"));
        }
        let flags = PASSED_ON.iter().filter_map(|name| Some([format!("--{name}"), text(name)?])).flatten();
        Ok(Order {
            package: text("package"),
            cargo_profile: text("cargo-profile").unwrap_or_else(|| "release".to_owned()),
            build: text("build"),
            client: settings.path("client"),
            flags: flags.collect(),
            plan,
            report,
            server,
            target,
            base,
            ready,
            ready_within: settings.duration("ready-within").unwrap_or(Duration::from_secs(60)),
            stop_within: settings.duration("stop-within").unwrap_or(Duration::from_secs(10)),
            attempts: settings.whole("attempts").unwrap_or(1),
            longer: if is_fixed { Duration::ZERO } else { settings.duration("longer").unwrap_or(Duration::ZERO) },
        })
    }

    /// The client's arguments, for these addresses; and for a run of another length than the settings say.
    pub(super) fn args(&self, against: Option<&Address>, lasts: Option<Duration>, quiet: bool) -> Vec<String> {
        let mut args = vec!["run".to_owned()];
        args.extend(self.plan.iter().map(|plan| plan.display().to_string()));
        args.extend(["--target".to_owned(), self.target.target()]);
        args.extend(["--report".to_owned(), self.report.display().to_string()]);
        let flags = self.flags.chunks(2).filter(|flag| lasts.is_none() || flag.first().is_some_and(|f| f != DURATION));
        args.extend(flags.flatten().cloned());
        args.extend(lasts.iter().flat_map(|lasts| [DURATION.to_owned(), format_duration(*lasts)]));
        match &self.base {
            Base::Both(..) => args.extend(against.iter().flat_map(|base| ["--against".to_owned(), base.target()])),
            Base::Stored(baselines) => {
                args.extend(baselines.reports.iter().flat_map(|dir| ["--gate".to_owned(), dir.display().to_string()]));
            }
        }
        if quiet {
            args.push("--quiet".to_owned());
        }
        args
    }
}

/// The target of the settings, or of the plan; on this machine, if only the port is open.
fn target(settings: &Settings, plan: Option<&Plan>) -> Result<Address, Failure> {
    if let Some(target) = settings.text("target") {
        return Address::parse(target);
    }
    match plan.and_then(Plan::target) {
        Some(target) => Address::parse(target),
        None if settings.text("server").is_some_and(|server| server.contains(PORT)) => {
            Address::parse(&format!("127.0.0.1:{PORT}"))
        }
        None => Err(Failure::wrong_use("it is not said where the server listens").mended_by(format!(
            "--target HOST:PORT; or let a free port be chosen: write {PORT} where its command has the port"
        ))),
    }
}

fn base(settings: &Settings, target: &Address, report: &Path) -> Result<Base, Failure> {
    let own = settings.text("base-target").map(Address::parse).transpose()?;
    if settings.text("base-server").is_none() && own.is_none() {
        let folder = settings.path("baseline").unwrap_or_else(|| PathBuf::from(BASELINES));
        return Ok(Base::Stored(Baselines::find(&folder)?));
    }
    let address = own.as_ref().unwrap_or(target);
    let start = start(settings, "base server", "base-server", address, report)?;
    let address = start.as_ref().map_or_else(|| address.clone(), |start| start.address.clone());
    if address == *target {
        return Err(Failure::wrong_use(format!("both builds of the server would listen at {}", target.target()))
            .mended_by(format!("--set base-target=HOST:PORT; or write {PORT} where their commands have the port")));
    }
    Ok(Base::Both(address, start.map(Box::new)))
}

/// How a server is started that listens at this address, if its setting says so.
fn start(
    settings: &Settings,
    name: &'static str,
    setting: &'static str,
    address: &Address,
    report: &Path,
) -> Result<Option<Start>, Failure> {
    let Some(said) = settings.get(setting) else { return Ok(None) };
    let start = Start {
        name,
        setting,
        command: said.value.clone(),
        folder: folder(&said.origin),
        address: address.clone(),
        log: report.join(format!("{setting}.log")),
    };
    if start.command.contains(PORT) && !address.is_local() {
        return Err(Failure::wrong_use(format!(
            "the {name} is started here, at a free port, and {} is not here",
            address.target()
        ))
        .mended_by(format!("--target 127.0.0.1:{PORT}")));
    }
    start.settled().map(Some)
}

/// Where a command runs: where the file is that says it, or here.
fn folder(origin: &Origin) -> PathBuf {
    match origin {
        Origin::File(file, ..) => file.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned),
        _ => None,
    }
    .unwrap_or_else(|| PathBuf::from("."))
}
