//! The guard-rails at the launch: the policy, over what the run would take and where its target is.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_worker::Terms;

use crate::estimate::Estimate;
use crate::guard::{Asked, Guard, Rail, Refusal};
use crate::policy::{Policy, host_of};
use crate::request::Caller;

/// What the rule of a refusal begins with that is a quota.
pub(crate) const QUOTA: &str = "quota: ";
/// A name is looked up for so long at most.
const MAX_LOOKUP: Duration = Duration::from_secs(5);

/// A policy on guard.
///
/// It resolves the target where the fleet is; workers resolve it again where they are. Who can make a name mean two things
/// there can lead them elsewhere: allow only names whose zone is the studio's own, or give `networks` to the workers' own
/// network as well.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    policy: Policy,
    terms: Terms,
}

impl Guarded {
    /// This policy, in a fleet with these terms.
    pub fn new(policy: Policy, terms: Terms) -> Guarded {
        Guarded { policy, terms }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

#[async_trait]
impl Guard for Guarded {
    async fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        self.refusals(asked).await.into_iter().next().map_or(Ok(()), Err)
    }

    async fn refusals(&self, asked: &Asked<'_>) -> Vec<Refusal> {
        let quotas = asked.quotas.cloned().unwrap_or_default();
        let estimate = Estimate::of(asked.plan, asked.staffing, &self.terms, &quotas);
        let addrs = resolve(asked.plan.target().unwrap_or_default()).await;
        let mut refusals = self.policy.refusals(asked.request, asked.plan, &estimate, asked.by, &addrs);
        refusals.extend(
            estimate.short().map(|over| Refusal { rule: format!("{QUOTA}{}", over.need.name), why: over.to_string() }),
        );
        refusals
    }

    fn rails(&self, by: &Caller) -> Vec<Rail> {
        self.policy.rails(by)
    }
}

/// The addresses of a target; none if it has none, or nobody says in time.
async fn resolve(target: &str) -> Vec<SocketAddr> {
    if target.starts_with("mem:") {
        return Vec::new();
    }
    let lookup = tokio::time::timeout(MAX_LOOKUP, tokio::net::lookup_host((host_of(target), 0)));
    lookup.await.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default()
}
