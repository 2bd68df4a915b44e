//! `text | builder (+ overrides) -> Plan`: what is to be run, parsed once into a value that cannot be wrong.
//!
//! **Whoever holds a `Plan` need not check it again.** Everything found wrong on the way is reported at once, each
//! problem at its line ([`PlanError`]). A plan says how much load there is in one of two forms: the short one (`bots`,
//! or `arrivals`, with `ramp` and `duration`), or a list of stages.
//!
//! Deliberately absent: whether the scenario, the personas and the account rows that it names exist. Only the program
//! that holds the code, or opens the files, can tell.

mod builder;
mod draft;
mod duration;
mod problem;
mod read;
mod suggest;
mod write;

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use draft::{DEFAULT_BOTS, DEFAULT_DURATION, DEFAULT_GRACE, DEFAULT_INTERVAL, DEFAULT_REFILL, Draft, Located};

use crate::flight;
use crate::network::Networks;
use crate::seed::Seed;
use crate::shape::{Rate, Shape};
use crate::sources::SourcePool;
use crate::split::Split;
use crate::threshold::Threshold;

pub use builder::PlanBuilder;
pub use duration::{DurationError, format_duration, parse_duration};
pub(crate) use problem::render;
pub use problem::{PlanError, Problem};
pub use suggest::suggest;

/// The largest plan file.
const MAX_BYTES: u64 = 1 << 20;

/// What is to be run: the load, who plays it, and what the result must be.
#[derive(Clone, Debug)]
pub struct Plan {
    draft: Draft,
    shape: Shape,
    networks: Option<Networks>,
}

impl Default for Plan {
    /// 10 players at once for 10 seconds.
    fn default() -> Plan {
        Plan { draft: Draft::default(), shape: Shape::flat(DEFAULT_BOTS, DEFAULT_DURATION), networks: None }
    }
}

impl Plan {
    /// A plan from code.
    pub fn builder() -> PlanBuilder {
        PlanBuilder::default()
    }

    /// Reads a plan in TOML. `origin` names the text in errors; files that the plan names are beside it.
    ///
    /// # Errors
    /// Everything that is wrong with the plan, each problem at its line.
    pub fn parse(text: &str, origin: &str) -> Result<Plan, PlanError> {
        read::read(text, origin).map_err(|problems| PlanError::in_text(problems, origin, text))
    }

    /// Whether its load is written in stages, which a `duration` alone would replace.
    pub fn has_stages(&self) -> bool {
        !self.draft.stages.is_empty()
    }

    /// Reads a plan file in TOML, of at most 1 MiB.
    ///
    /// # Errors
    /// If the file cannot be read, and as [`Plan::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Plan, PlanError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let fail = |why: String, help: &str| {
            PlanError::of(vec![Problem::new(format!("the plan {name} {why}"), None).help(help)])
        };
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return Err(fail(format!("cannot be read: {error}"), "check the path"));
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(fail("is larger than 1 MiB".into(), "move rows of data to a file that the plan names"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Plan::parse(&text, &name),
            Err(_) => Err(fail("is not UTF-8 text".into(), "save it as UTF-8")),
        }
    }

    /// The plan with what the command line says instead.
    ///
    /// `bots`, `arrivals`, `ramp` and `duration` replace the plan's stages by the short form; what is not given is taken
    /// from the plan: its short form if it has one, otherwise the peak and the duration of its stages, without a ramp.
    /// `bots` and `arrivals` replace each other.
    ///
    /// # Errors
    /// Everything that is wrong with the plan that results.
    pub fn with(&self, overrides: Overrides) -> Result<Plan, PlanError> {
        let mut draft = self.draft.clone();
        let load = overrides.bots.is_some() || overrides.arrivals.is_some();
        if load || overrides.ramp.is_some() || overrides.duration.is_some() {
            if !draft.stages.is_empty() {
                draft.stages.clear();
                draft.duration = Some(Located::nowhere(self.shape.duration()));
                if !load && self.shape.peak() == 0 {
                    let problem =
                        Problem::new("the plan's stages are replaced, and nothing says by which players", None);
                    return Err(PlanError::of(vec![
                        problem.help("give the number of bots or the rate of arrivals too"),
                    ]));
                }
                draft.bots = Some(Located::nowhere(self.shape.peak()));
            }
            if load {
                draft.bots = overrides.bots.map(Located::nowhere);
                draft.arrivals = overrides.arrivals.map(Located::nowhere);
            }
        }
        replace(&mut draft.ramp, overrides.ramp);
        replace(&mut draft.duration, overrides.duration);
        replace(&mut draft.scenario, overrides.scenario);
        replace(&mut draft.target, overrides.target);
        replace(&mut draft.total, overrides.total);
        replace(&mut draft.party, overrides.party);
        replace(&mut draft.grace, overrides.grace);
        replace(&mut draft.interval, overrides.interval);
        replace(&mut draft.sockets, overrides.sockets);
        replace(&mut draft.flight, overrides.flight.map(u64::from));
        draft.sources = overrides.sources.map(Arc::new).or(draft.sources);
        draft.split.extend(overrides.split.into_iter().filter(|split| !self.draft.split.contains(split)));
        draft.thresholds.extend(overrides.thresholds);
        draft.seed = overrides.seed.or(draft.seed);
        if let Some(text) = &overrides.network {
            let networks = Networks::parse(text, &draft.profiles);
            let networks = networks.map_err(|error| PlanError::of(vec![Problem::new(error.to_string(), None)]))?;
            draft.networks =
                networks.iter().map(|(profile, share)| Located::nowhere((profile.name().to_owned(), share))).collect();
        }
        draft.finish().map_err(PlanError::of)
    }

    /// The scenario to run, if the program has several.
    pub fn scenario(&self) -> Option<&str> {
        self.draft.scenario.as_ref().map(|scenario| scenario.value.as_str())
    }

    /// The address of the server under test, as its author wrote it.
    pub fn target(&self) -> Option<&str> {
        self.draft.target.as_ref().map(|target| target.value.as_str())
    }

    /// The seed, if the plan fixes one; otherwise each run draws its own.
    pub fn seed(&self) -> Option<Seed> {
        self.draft.seed
    }

    /// The load.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// From the start of the run to the moment at which all are asked to leave.
    pub fn duration(&self) -> Duration {
        self.shape.duration()
    }

    /// How many seats play together: 1 if players play alone.
    pub fn party(&self) -> u64 {
        self.draft.party.as_ref().map_or(1, |party| party.value)
    }

    /// The first seat of the twins, who play while the load is dialled above the plan's (see [`Control::dial`]): seat `s` has
    /// the twin `s + first_twin()`. It begins a party.
    ///
    /// [`Control::dial`]: crate::Control::dial
    pub fn first_twin(&self) -> u64 {
        self.shape.seats().div_ceil(self.party()) * self.party()
    }

    /// Whether there is such a seat, a twin's included.
    pub fn has_seat(&self, seat: u64) -> bool {
        seat.checked_sub(self.first_twin()).unwrap_or(seat) < self.shape.seats()
    }

    /// The bound on players ever started, refills included.
    pub fn total(&self) -> Option<u64> {
        self.shape.total()
    }

    /// The pause before a seat whose player failed is filled again, one second by default; a seat whose player went by
    /// itself is filled again at once. None if seats are never filled again.
    pub fn refill(&self) -> Option<Duration> {
        self.draft.refill.as_ref().map_or(Some(DEFAULT_REFILL), |refill| refill.value)
    }

    /// How long players may take to leave after a stop. Ten seconds by default.
    pub fn grace(&self) -> Duration {
        self.draft.grace.as_ref().map_or(DEFAULT_GRACE, |grace| grace.value)
    }

    /// The length of a metrics interval, 0.1 s to 60 s. One second by default; the shorter, the larger are reports.
    pub fn interval(&self) -> Duration {
        self.draft.interval.as_ref().map_or(DEFAULT_INTERVAL, |interval| interval.value)
    }

    /// What the result must be.
    pub fn thresholds(&self) -> &[Threshold] {
        &self.draft.thresholds
    }

    /// Addresses of this machine from which players connect; seats take turns. None: whichever the system chooses.
    pub fn sources(&self) -> Option<&Arc<SourcePool>> {
        self.draft.sources.as_ref()
    }

    /// How many sockets the bots of a thread share, for each address of the server. None: a socket a bot.
    pub fn sockets(&self) -> Option<NonZeroU32> {
        let sockets = self.draft.sockets.as_ref()?.value;
        NonZeroU32::new(u32::try_from(sockets).unwrap_or(u32::MAX))
    }

    /// How many of a player's last events are recorded, 64 by default; none if flights are not recorded. See
    /// [`flight`](crate::flight).
    pub fn flight(&self) -> Option<NonZeroU32> {
        let events = self.draft.flight.as_ref().map_or(flight::EVENTS.into(), |flight| flight.value);
        NonZeroU32::new(u32::try_from(events).unwrap_or(u32::MAX))
    }

    /// By what figures are told apart, beside being shown for all players together.
    pub fn split(&self) -> &[Split] {
        &self.draft.split
    }

    /// Weights of personas that override those of the code.
    pub fn personas(&self) -> impl Iterator<Item = (&str, f64)> {
        self.draft.personas.iter().map(|persona| (persona.value.0.as_str(), persona.value.1))
    }

    /// Which networks lie between the players and the server; none if that was left open, and all have their own.
    pub fn networks(&self) -> Option<&Networks> {
        self.networks.as_ref()
    }

    /// The file of accounts.
    pub fn accounts(&self) -> Option<&Path> {
        self.draft.accounts.as_deref()
    }

    /// The files of other rows, by name.
    pub fn data(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.draft.data.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }
}

fn replace<T>(part: &mut Option<Located<T>>, value: Option<T>) {
    if let Some(value) = value {
        *part = Some(Located::nowhere(value));
    }
}

/// What a command line says instead of a plan; see [`Plan::with`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The scenario to run.
    pub scenario: Option<String>,
    /// The address of the server under test.
    pub target: Option<String>,
    /// Players connected at once. Replaces the plan's stages.
    pub bots: Option<u64>,
    /// How long it takes to connect them. Replaces the plan's stages.
    pub ramp: Option<Duration>,
    /// The length of the run. Replaces the plan's stages.
    pub duration: Option<Duration>,
    /// The rate of arrivals. Replaces the plan's stages.
    pub arrivals: Option<Rate>,
    /// Addresses from which players connect.
    pub sources: Option<SourcePool>,
    /// Thresholds beside the plan's own.
    pub thresholds: Vec<Threshold>,
    /// Sockets that the bots of a thread share.
    pub sockets: Option<u64>,
    /// How many of a player's last events are recorded; 0 for none.
    pub flight: Option<u32>,
    /// By what figures are told apart, beside those of the plan.
    pub split: Vec<Split>,
    /// The seed.
    pub seed: Option<Seed>,
    /// The bound on players ever started.
    pub total: Option<u64>,
    /// How many seats play together.
    pub party: Option<u64>,
    /// How long players may take to leave after a stop.
    pub grace: Option<Duration>,
    /// The length of a metrics interval.
    pub interval: Option<Duration>,
    /// The networks, as [`Networks::parse`] reads them: `lte`, or `lte=0.3,perfect=0.7`. Replaces the plan's weights.
    pub network: Option<String>,
}

#[cfg(test)]
mod tests;
