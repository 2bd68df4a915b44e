//! What a whole run has in common: made once, shared by all shards, read-only.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::data::Table;
use crate::failure::{Failure, Kind};
use crate::metrics::RunId;
use crate::plan::Plan;
use crate::seed::Seed;
use crate::weights::Weights;

/// The server under test, by name and by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    name: String,
    addrs: Vec<SocketAddr>,
    unverified: bool,
    baseline: Option<Box<Target>>,
}

impl Target {
    /// A target as the user wrote it, and the addresses to which it resolved (none for in-memory targets).
    pub fn new(name: impl Into<String>, addrs: Vec<SocketAddr>) -> Target {
        Target { name: name.into(), addrs, unverified: false, baseline: None }
    }

    /// The same, with every second party at this server instead, the build before: so both have the same minutes of the
    /// machine. Figures are told apart as `login{target=candidate}` and `login{target=baseline}`.
    pub fn against(self, baseline: Target) -> Target {
        Target { baseline: Some(Box::new(baseline)), ..self }
    }

    /// The server of every second party, if there are two.
    pub fn baseline(&self) -> Option<&Target> {
        self.baseline.as_deref()
    }

    /// The server of a party.
    pub(crate) fn of_party(&self, party: u64) -> &Target {
        self.baseline().filter(|_| party % 2 == 1).unwrap_or(self)
    }

    /// The same, with servers accepted whose certificates do not verify: for test servers. Connections made so are
    /// counted as [`names::TLS_UNVERIFIED`](crate::names::TLS_UNVERIFIED), and the report warns of them.
    pub fn unverified(self) -> Target {
        Target { unverified: true, ..self }
    }

    /// Whether the certificates of servers are not to be verified.
    pub fn is_unverified(&self) -> bool {
        self.unverified
    }

    /// As the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses to which it resolved.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The address for a seat: seats take turns.
    ///
    /// # Errors
    /// When it has none.
    pub fn addr(&self, seat: u64) -> Result<SocketAddr, Failure> {
        let turn = usize::try_from(seat % (self.addrs.len().max(1) as u64)).unwrap_or(0);
        self.addrs
            .get(turn)
            .copied()
            .ok_or_else(|| Failure::new(Kind::TARGET, format!("the target {:?} has no network address", self.name)))
    }
}

/// What a whole run has in common.
#[derive(Debug)]
pub struct RunInfo {
    pub(crate) id: RunId,
    pub(crate) plan: Plan,
    pub(crate) target: Target,
    pub(crate) seed: Seed,
    pub(crate) weights: Weights,
    pub(crate) accounts: Option<Arc<Table>>,
    pub(crate) data: BTreeMap<String, Arc<Table>>,
}

impl RunInfo {
    /// The run's name among all runs.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The server under test.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The seed from which all of the run's random numbers come.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The personas in force: the scenario's, with the plan's weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The accounts, if the plan has a file of them.
    pub fn accounts(&self) -> Option<&Table> {
        self.accounts.as_deref()
    }

    /// One of the plan's data files, by its name in the plan.
    pub fn data(&self, name: &str) -> Option<&Table> {
        self.data.get(name).map(AsRef::as_ref)
    }

    /// Seats for which there is a row in every file.
    pub(crate) fn rows(&self) -> u64 {
        let tables = self.accounts.iter().chain(self.data.values());
        tables.map(|table| table.len() as u64).min().unwrap_or(u64::MAX)
    }
}
