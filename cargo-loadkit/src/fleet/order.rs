//! `settings -> RunRequest`: what a launch asks for.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use loadkit_core::{Overrides, Plan, Seed};
use loadkit_fleet::{Long, RunRequest, RunnerChoice};

use crate::exit::Failure;
use crate::launch::time;
use crate::settings::Settings;

/// What a launch says beside the settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OrderArgs {
    /// The seed, in place of the plan's.
    #[arg(long)]
    pub seed: Option<Seed>,
    /// At most so many players a worker.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub players_per_worker: Option<u32>,
    /// Only this client may play it: `NAME VERSION`, or the build that it was stamped with.
    #[arg(long, value_name = "CLIENT")]
    pub played_by: Option<String>,
    /// The share of the workers that may be lost before the run is INVALID: 0.05 if nothing is said.
    #[arg(long, value_name = "SHARE")]
    pub allow_lost: Option<f64>,
    /// Workers of several builds may play it; without this, only those of the build that claims first.
    #[arg(long)]
    pub mixed_builds: bool,
    /// The players start so long after the launch; without it, as soon as is usual for the workers' home.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start_in: Option<Duration>,
    /// What to find it by later: --label KEY=VALUE. May be given more than once.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// A run on Lambda that outlasts 15 minutes goes on as Fargate tasks, and not on the next Lambdas.
    #[arg(long)]
    pub long_on_fargate: bool,
}

/// The request that these settings make, with a name of its own.
pub(crate) fn order(args: &OrderArgs, settings: &Settings) -> Result<RunRequest, Failure> {
    let path = settings.path("plan").ok_or_else(|| {
        Failure::wrong_use("nothing says what is to be played").mended_by("--plan plan.toml, or `plan` in loadkit.toml")
    })?;
    let plan = Plan::load(&path).map_err(Failure::wrong_use)?;
    let overrides = Overrides {
        scenario: settings.text("scenario").map(str::to_owned),
        target: settings.text("target").map(str::to_owned),
        bots: settings.whole("bots"),
        ramp: settings.duration("ramp"),
        duration: settings.duration("duration"),
        seed: args.seed,
        ..Overrides::default()
    };
    let plan = plan.with(overrides).map_err(Failure::wrong_use)?;
    if plan.target().is_none() {
        return Err(Failure::wrong_use("nothing says against which server").mended_by("--target HOST:PORT"));
    }
    let workers = settings.whole("workers").map(u32::try_from).transpose();
    Ok(RunRequest {
        plan: plan.to_toml(),
        runner: match settings.text("runner") {
            Some("local") => RunnerChoice::Local,
            Some("lambda") => RunnerChoice::Lambda,
            Some("fargate") => RunnerChoice::Fargate,
            _ => RunnerChoice::Auto,
        },
        workers: workers.map_err(|_| Failure::wrong_use("workers: so many are none; a run has 20,000 at most"))?,
        players_per_worker: args.players_per_worker,
        long: if args.long_on_fargate { Long::Fargate } else { Long::Relay },
        client: args.played_by.clone().unwrap_or_default(),
        mixed_builds: args.mixed_builds,
        build: settings.text("build").unwrap_or_default().to_owned(),
        allow_lost: args.allow_lost,
        start_in_ms: args.start_in.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        once: name(),
        labels: labels(&args.labels)?,
        // The plan has them.
        target: None,
        seed: None,
    })
}

/// A name that no other launch has: the randomness with which the standard library keys its hash maps.
fn name() -> String {
    let word = |what: &str| RandomState::new().hash_one(what);
    format!("cargo-loadkit-{:016x}{:016x}", word("launch"), word("name"))
}

fn labels(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::wrong_use(format!("--label {pair}: write KEY=VALUE"))),
    };
    pairs.iter().map(pair).collect()
}
