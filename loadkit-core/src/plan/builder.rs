//! `Plan::builder()...build()`: a plan from code.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::draft::{Draft, DraftStage, Located};
use super::problem::Problem;
use super::{Plan, PlanError};
use crate::network::{NetworkError, Profile};
use crate::seed::Seed;
use crate::shape::{Rate, Stage};
use crate::sources::SourcePool;
use crate::split::Split;
use crate::threshold::Threshold;

/// A plan in the making; what is left out has the defaults of [`Plan`]. Mistakes are reported by [`PlanBuilder::build`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct PlanBuilder {
    draft: Draft,
    problems: Vec<Problem>,
}

impl PlanBuilder {
    /// The scenario to run, if the program has several.
    pub fn scenario(mut self, name: impl Into<String>) -> Self {
        self.draft.scenario = Some(Located::nowhere(name.into()));
        self
    }

    /// The address of the server under test.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.draft.target = Some(Located::nowhere(target.into()));
        self
    }

    /// The seed; without one each run draws its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.draft.seed = Some(Seed(seed));
        self
    }

    /// Short form: players connected at once.
    pub fn bots(mut self, bots: u64) -> Self {
        self.draft.bots = Some(Located::nowhere(bots));
        self
    }

    /// Short form: how long it takes to connect them, or to reach the rate of arrivals. None by default.
    pub fn ramp(mut self, ramp: Duration) -> Self {
        self.draft.ramp = Some(Located::nowhere(ramp));
        self
    }

    /// Short form: the length of the run, the ramp included.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.draft.duration = Some(Located::nowhere(duration));
        self
    }

    /// Short form: the rate at which players arrive, instead of `bots`.
    pub fn arrivals(mut self, rate: Rate) -> Self {
        self.draft.arrivals = Some(Located::nowhere(rate));
        self
    }

    /// Long form: adds stages at the end.
    pub fn stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.draft.stages.extend(stages.into_iter().map(DraftStage::nowhere));
        self
    }

    /// A bound on players ever started, refills included.
    pub fn total(mut self, total: u64) -> Self {
        self.draft.total = Some(Located::nowhere(total));
        self
    }

    /// How many seats play together.
    pub fn party(mut self, seats: u64) -> Self {
        self.draft.party = Some(Located::nowhere(seats));
        self
    }

    /// The pause before a seat whose player failed is filled again; none for never.
    pub fn refill(mut self, pause: impl Into<Option<Duration>>) -> Self {
        self.draft.refill = Some(Located::nowhere(pause.into()));
        self
    }

    /// How long players may take to leave after a stop.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.draft.grace = Some(Located::nowhere(grace));
        self
    }

    /// The length of a metrics interval, 0.1 s to 60 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.draft.interval = Some(Located::nowhere(interval));
        self
    }

    /// What the result must be, such as `p99(login) < 250ms`. May be called repeatedly.
    pub fn threshold(mut self, text: &str) -> Self {
        match Threshold::parse(text) {
            Ok(threshold) => self.draft.thresholds.push(threshold),
            Err(error) => {
                let message = format!("the threshold `{text}`: {}", error.message());
                let mut problem = Problem::new(message, None);
                problem.help = error.advice().map(str::to_owned);
                self.problems.push(problem);
            }
        }
        self
    }

    /// The weight of a persona, overriding that of the code. May be called repeatedly; the last word of a name counts.
    pub fn persona(mut self, name: impl Into<String>, weight: f64) -> Self {
        let name = name.into();
        self.draft.personas.retain(|persona| persona.value.0 != name);
        self.draft.personas.push(Located::nowhere((name, weight)));
        self
    }

    /// Addresses of this machine from which players connect, instead of one.
    pub fn sources(mut self, pool: impl Into<Arc<SourcePool>>) -> Self {
        self.draft.sources = Some(pool.into());
        self
    }

    /// So many sockets that the bots of a thread share, for each address of the server, instead of a socket a bot.
    pub fn sockets(mut self, sockets: u32) -> Self {
        self.draft.sockets = Some(Located::nowhere(sockets.into()));
        self
    }

    /// So many of each player's last events are recorded, 4,096 at most; 0 for none. See [`flight`](crate::flight).
    pub fn flight(mut self, events: u32) -> Self {
        self.draft.flight = Some(Located::nowhere(events.into()));
        self
    }

    /// Figures are told apart by this too. May be called repeatedly.
    pub fn split(mut self, by: Split) -> Self {
        if !self.draft.split.contains(&by) {
            self.draft.split.push(by);
        }
        self
    }

    /// A network profile, one of the kit's or of one's own, and how many of the players are on it, relative to the others.
    /// May be called repeatedly; the last word of a name counts.
    pub fn network(mut self, profile: Profile, weight: f64) -> Self {
        let name = profile.name().to_owned();
        self.draft.networks.retain(|network| network.value.0 != name);
        self.draft.profiles.retain(|known| known.name() != name);
        if let Some(known) = Profile::known().into_iter().find(|known| known.name() == name) {
            if known != profile {
                self.problems.push(Problem::new(NetworkError::Taken { name: name.clone() }.to_string(), None));
            }
        } else {
            self.draft.profiles.push(profile);
        }
        self.draft.networks.push(Located::nowhere((name, weight)));
        self
    }

    /// The file of accounts, CSV or JSON lines.
    pub fn accounts(mut self, path: impl Into<PathBuf>) -> Self {
        self.draft.accounts = Some(path.into());
        self
    }

    /// A file of other rows, CSV or JSON lines, by name.
    pub fn data(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.draft.data.push((name.into(), path.into()));
        self
    }

    /// The plan.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn build(self) -> Result<Plan, PlanError> {
        let mut problems = self.problems;
        match self.draft.finish() {
            Ok(plan) if problems.is_empty() => Ok(plan),
            Ok(_) => Err(PlanError::of(problems)),
            Err(more) => {
                problems.extend(more);
                Err(PlanError::of(problems))
            }
        }
    }
}
