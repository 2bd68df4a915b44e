//! `RunRequest -> (Plan, Staffing), Estimate`: what a request asks for, and what it would take, before anything is written.

use std::collections::BTreeSet;

use loadkit_core::{Overrides, Plan, Seed};

use crate::error::FleetError;
use crate::estimate::Estimate;
use crate::fleet::Fleet;
use crate::guard::Asked;
use crate::launcher::{Home, Quotas};
use crate::request::{Caller, RunRequest};
use crate::staff::{Staffing, staff};

impl Fleet {
    /// The plan of a request with what the request says in its place, and how it would be staffed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn prepare(&self, request: &RunRequest) -> Result<(Plan, Staffing), FleetError> {
        let plan = Plan::parse(&request.plan, "the plan").map_err(FleetError::Plan)?;
        let overrides =
            Overrides { target: request.target.clone(), seed: request.seed.map(Seed), ..Overrides::default() };
        let plan = plan.with(overrides).map_err(FleetError::Plan)?;
        if plan.target().is_none_or(str::is_empty) {
            let why = "no target: say which server to play against, in the request or as `target` in the plan";
            return Err(FleetError::Request(why.into()));
        }
        if request.allow_lost.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(FleetError::Request("`allow_lost` is a share of the workers, from 0 to 1".into()));
        }
        let homes: BTreeSet<Home> = self.launchers.keys().copied().collect();
        let staffing = staff(&plan, request, &homes, self.settings.usual, &self.settings.terms);
        Ok((plan, staffing.map_err(FleetError::Request)?))
    }

    /// What a run would take, and which guard-rails would refuse it. Nothing is started, and nobody is told.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub async fn estimate(&self, request: &RunRequest, by: &Caller) -> Result<Estimate, FleetError> {
        let (plan, staffing) = self.prepare(request)?;
        let quotas = self.quotas(&staffing).await.ok();
        let asked = Asked { request, plan: &plan, staffing: &staffing, quotas: quotas.as_ref(), by };
        let refusals = self.guard.refusals(&asked).await;
        let estimate = Estimate::of(&plan, &staffing, &self.settings.terms, &quotas.unwrap_or_default());
        Ok(Estimate { refusals, rails: self.guard.rails(by), ..estimate })
    }

    /// What there is room for where the players would play; in words, why that is not known.
    pub(crate) async fn quotas(&self, staffing: &Staffing) -> Result<Quotas, String> {
        match self.launchers.get(&staffing.plays_at()) {
            Some(launcher) => launcher.quotas().await,
            None => Err("there is no launcher".into()),
        }
    }
}
