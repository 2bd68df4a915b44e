//! How a run stands, for who looks at it: its workers' leases, and what it costs.

use loadkit_core::RunId;
use loadkit_worker::{Lease, StoreError, keys};

use super::Fleet;
use crate::error::FleetError;
use crate::estimate::{Dollars, Estimate};
use crate::launcher::Quotas;
use crate::request::RunRequest;

/// Leases read at a time.
const PAGE: usize = 200;
/// No more leases of a partition are read: attempts are few.
const MAX_PAGES: usize = 10;

impl Fleet {
    /// The leases of a run that has so many workers, by worker and attempt.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn leases(&self, run: RunId, workers: u32) -> Result<Vec<Lease>, FleetError> {
        let mut leases = Vec::new();
        for part in 0..keys::parts(workers) {
            let part = keys::lease_part(run, part);
            let mut after: Option<String> = None;
            for _ in 0..MAX_PAGES {
                let page = self.store.list(&part, "", after.as_deref(), PAGE).await?;
                for item in page.items {
                    let lease = serde_json::from_slice(&item.body)
                        .map_err(|error| StoreError::Malformed { key: item.key, why: error.to_string() })?;
                    leases.push(lease);
                }
                after = page.more;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(leases)
    }

    /// What the whole of a run costs, by its plan.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn cost(&self, request: &RunRequest) -> Result<Dollars, FleetError> {
        let (plan, staffing) = self.prepare(request)?;
        Ok(Estimate::of(&plan, &staffing, &self.settings.terms, &Quotas::default()).dollars)
    }
}
