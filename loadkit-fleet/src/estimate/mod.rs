//! `(plan, staffing, quotas) -> Estimate`: what a run would take, before anything starts.
//!
//! **Every figure is arithmetic that its line shows.** Where a figure depends on what nobody knows before the run, such as
//! the size of parcels, it is a range, and the policy goes by its upper end.
//!
//! Deliberately absent: what the game's own traffic costs (data leaving AWS, NAT gateways) and what logs cost. Only the
//! game team knows how much there is.

mod cost;
mod prices;

use std::fmt;

use loadkit_core::Plan;
use loadkit_worker::Terms;
use serde::{Deserialize, Serialize};

use crate::guard::{Rail, Refusal};
use crate::launcher::{Home, Quotas};
use crate::staff::{Staffing, most_players};

/// Memory of a Lambda, MB: what gives it one vCPU.
pub const LAMBDA_MB: u64 = 1_769;
/// vCPUs of a Fargate task.
pub const FARGATE_VCPUS: u64 = 2;
/// Memory of a Fargate task, GB.
pub const FARGATE_GB: u64 = 4;
/// Descriptors of a worker that are not its players': runtime, logs, the way to the fleet.
const SPARE_DESCRIPTORS: u64 = 124;
/// A new on-demand table takes so many write units a second at first (DynamoDB developer guide, on-demand capacity mode).
const NEW_TABLE_WRITES: u64 = 4_000;
/// An account's default bound on a table's write units a second (DynamoDB developer guide, quotas).
const TABLE_WRITES: u64 = 40_000;
/// Lambda's default concurrency of a region.
const DEFAULT_CONCURRENCY: u64 = 1_000;

/// What a run would take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// Where the workers run.
    pub home: Home,
    /// The most players at once: the population, and of those who arrive at a rate a minute's.
    pub players: u64,
    /// Workers at a time.
    pub workers: u32,
    /// Players of the fullest worker.
    pub players_per_worker: u64,
    /// How many workers play a segment one after another: more than one on Lambda when a run outlasts one.
    pub generations: u32,
    /// How long the load lasts, s.
    pub seconds: f64,
    /// How long it takes until all workers are there, s.
    pub launch_s: f64,
    /// What the account or the machine must have room for.
    pub quotas: Vec<Need>,
    /// What it costs.
    pub dollars: Dollars,
    /// What the reader should know.
    pub warnings: Vec<String>,
    /// The guard-rails that would refuse the launch; none if it would be taken.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// The guard-rails that hold for whoever asks.
    #[serde(default)]
    pub rails: Vec<Rail>,
}

/// A quota and how much of it a run needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Need {
    /// As AWS calls it: `Lambda: Concurrent executions`.
    pub name: String,
    /// How much the run needs.
    pub need: u64,
    /// How much there is. None if that is not known.
    pub have: Option<u64>,
    /// Where it can be raised, or what to do instead.
    pub raise: String,
}

/// What a run costs, in dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Dollars {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
    /// For what.
    pub lines: Vec<CostLine>,
    /// By which price list.
    pub prices: String,
}

/// A part of the cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct CostLine {
    /// Of what.
    pub what: String,
    /// How it was reckoned.
    pub formula: String,
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// There is not room enough for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// What is short.
    pub need: Need,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { name, need, have, raise } = &self.need;
        write!(f, "the run needs {need} of the quota `{name}`, and there are {}: {raise}", have.unwrap_or(0))
    }
}

impl std::error::Error for OverQuota {}

impl Estimate {
    /// What this plan takes, staffed so. `quotas` are what the launcher found, `terms` what workers and fleet agreed on.
    pub fn of(plan: &Plan, staffing: &Staffing, terms: &Terms, quotas: &Quotas) -> Estimate {
        let (home, workers) = (staffing.plays_at(), staffing.workers.max(1));
        let players = most_players(plan);
        let players_per_worker = players.div_ceil(u64::from(workers));
        let generations = u32::try_from(staffing.generations.len().max(1)).unwrap_or(u32::MAX);
        let launch_s = launch_s(home, workers, quotas);
        let mut estimate = Estimate {
            home,
            players,
            workers,
            players_per_worker,
            generations,
            seconds: plan.duration().as_secs_f64(),
            launch_s,
            quotas: Vec::new(),
            dollars: cost::dollars(&cost::Run { plan, home, workers, generations, launch_s, terms }),
            warnings: Vec::new(),
            refusals: Vec::new(),
            rails: Vec::new(),
        };
        estimate.quotas = estimate.needs(plan, terms, quotas);
        estimate.warnings = estimate.warn(plan, staffing, terms);
        estimate
    }

    /// Whether everything fits that is known.
    ///
    /// # Errors
    /// The first quota that is too small.
    pub fn fits(&self) -> Result<(), OverQuota> {
        self.short().next().map_or(Ok(()), Err)
    }

    /// All quotas that are known to be too small.
    pub fn short(&self) -> impl Iterator<Item = OverQuota> {
        let short = self.quotas.iter().filter(|need| need.have.is_some_and(|have| need.need > have));
        short.map(|need| OverQuota { need: need.clone() })
    }

    fn needs(&self, plan: &Plan, terms: &Terms, quotas: &Quotas) -> Vec<Need> {
        let workers = u64::from(self.workers);
        // While a generation takes over from another, both are there.
        let at_once = if self.generations > 1 { workers * 2 } else { workers };
        let named = |usual: &str| quotas.names.first().cloned().unwrap_or_else(|| usual.to_owned());
        let mut needs = Vec::new();
        let (name, raise) = match self.home {
            Home::Lambda => (
                "Lambda: Concurrent executions",
                "raise it under Service Quotas, AWS Lambda, `Concurrent executions` (L-B99A9384), use fewer workers, or \
                 take Fargate",
            ),
            Home::Fargate => (
                "Fargate: On-Demand vCPU resource count, in tasks",
                "raise it under Service Quotas, AWS Fargate, `Fargate On-Demand vCPU resource count` (L-3032A538); a task \
                 has 2 vCPUs",
            ),
            Home::Local => ("processes of this machine", "use fewer workers, or a home in the cloud"),
        };
        needs.push(Need { name: named(name), need: at_once, have: quotas.workers, raise: raise.to_owned() });
        let per_worker = self.sockets_per_worker(plan) + SPARE_DESCRIPTORS;
        let have = quotas.descriptors.or(match self.home {
            Home::Lambda => Some(1_024),
            Home::Fargate => Some(65_535),
            Home::Local => None,
        });
        let raise =
            "use more workers with fewer players each, or let players share sockets (`sockets = 4` in the plan)";
        let raise = if self.home == Home::Local { format!("raise `ulimit -n`, or {raise}") } else { raise.to_owned() };
        needs.push(Need { name: "descriptors of a worker".to_owned(), need: per_worker, have, raise });
        if self.home != Home::Local {
            needs.push(Need {
                name: "DynamoDB: Table-level write throughput limit".to_owned(),
                need: cost::write_units_per_s(workers, terms).1.ceil() as u64,
                have: Some(TABLE_WRITES),
                raise: "raise it under Service Quotas, Amazon DynamoDB, `Table-level write throughput limit`, or use \
                        fewer and larger workers"
                    .to_owned(),
            });
        }
        needs
    }

    /// Sockets of the fullest worker: one a player, or as many as its shards share.
    fn sockets_per_worker(&self, plan: &Plan) -> u64 {
        let shards = if self.home == Home::Fargate { FARGATE_VCPUS } else { 1 };
        plan.sockets().map_or(self.players_per_worker, |sockets| u64::from(sockets.get()) * shards)
    }

    fn warn(&self, plan: &Plan, staffing: &Staffing, terms: &Terms) -> Vec<String> {
        let mut warnings = Vec::new();
        if plan.shape().arrivals() > 0 {
            warnings.push(format!(
                "{} players arrive at a rate: those of a minute are taken to be there at once",
                plan.shape().arrivals()
            ));
        }
        if self.home == Home::Local {
            return warnings;
        }
        let lead_s = staffing.usual.lead.as_secs_f64();
        if self.launch_s > lead_s {
            warnings.push(format!(
                "all workers are there {:.0} s after the launch, and the start is usual after {lead_s:.0} s: it will be put off",
                self.launch_s
            ));
        }
        for need in self.quotas.iter().filter(|need| need.have.is_none()) {
            warnings.push(format!("the quota `{}` could not be read: the run needs {}", need.name, need.need));
            if self.home == Home::Lambda && need.need > DEFAULT_CONCURRENCY {
                warnings.push(format!("that is above the {DEFAULT_CONCURRENCY} which an account has by default"));
            }
        }
        if self.generations > 1 {
            warnings.push(format!(
                "the run is relayed over {} generations of Lambdas: on Fargate each worker would play it through",
                self.generations
            ));
            let over_s = terms.over_ms as f64 / 1e3;
            if self.launch_s > over_s {
                warnings.push(format!(
                    "a generation needs {:.0} s to start and has {over_s:.0} s to take over: some players will be missing \
                     for a while",
                    self.launch_s
                ));
            }
        }
        let (_, writes) = cost::write_units_per_s(u64::from(self.workers), terms);
        if writes > NEW_TABLE_WRITES as f64 {
            warnings.push(format!(
                "workers may write up to {writes:.0} units a second, and a new table takes {NEW_TABLE_WRITES} at first: \
                 give it warm throughput before a run of this size"
            ));
        }
        warnings
            .push("what the players' own traffic costs is not in it: data out of AWS, NAT gateways, logs".to_owned());
        warnings
    }
}

/// How long the launch itself takes, s: what starts at once, then the rest at the home's pace.
fn launch_s(home: Home, workers: u32, quotas: &Quotas) -> f64 {
    let workers = f64::from(workers);
    // (until the first is there, how many start at once, how many a second after them)
    let (first_s, burst, per_s) = match home {
        // A function's concurrency grows by 1,000 every 10 s; a cold start of a small binary is within a second or two.
        Home::Lambda => (2.0, 1_000.0, 100.0),
        // RunTask: a burst of 100 tasks, then 20 a second; an image is pulled and an interface attached.
        Home::Fargate => (45.0, 100.0, 20.0),
        Home::Local => (1.0, f64::INFINITY, f64::INFINITY),
    };
    let pace: f64 = quotas.starts_per_s.filter(|pace| *pace > 0.0).map_or(per_s, |pace: f64| pace.min(per_s));
    let rest: f64 = (workers - burst).max(0.0);
    let waves = if home == Home::Lambda { (rest / 1_000.0).ceil() * 10.0 } else { 0.0 };
    first_s + (rest / pace).max(waves)
}

#[cfg(test)]
mod tests;
