//! What the guard-rails see of a launch, and what they say.

use std::fmt;

use async_trait::async_trait;
use loadkit_core::Plan;
use serde::{Deserialize, Serialize};

use crate::launcher::Quotas;
use crate::request::{Caller, RunRequest};
use crate::staff::Staffing;

/// What is asked for, as the guard-rails see it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The request.
    pub request: &'a RunRequest,
    /// Its plan, with target and seed.
    pub plan: &'a Plan,
    /// How it would be staffed.
    pub staffing: &'a Staffing,
    /// What the launcher says there is room for, where it says so.
    pub quotas: Option<&'a Quotas>,
    /// Who asks.
    pub by: &'a Caller,
}

/// A launch that a guard-rail refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// The rule, by its name.
    pub rule: String,
    /// Why, and what would be allowed.
    pub why: String,
}

/// A guard-rail that holds for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Rail {
    /// The rule, by its name.
    pub rule: String,
    /// What it allows, in words.
    pub allows: String,
}

/// The guard-rails.
#[async_trait]
pub trait Guard: Send + Sync + fmt::Debug {
    /// Whether this may be launched.
    ///
    /// # Errors
    /// The rule that refuses it.
    async fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal>;

    /// All rules that refuse it, as far as they can be told together; the first is that of [`Guard::check`].
    async fn refusals(&self, asked: &Asked<'_>) -> Vec<Refusal> {
        self.check(asked).await.err().into_iter().collect()
    }

    /// What holds for whoever asks, whatever is asked for.
    fn rails(&self, _by: &Caller) -> Vec<Rail> {
        Vec::new()
    }
}

/// No guard-rails: whoever can ask may launch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unguarded;

#[async_trait]
impl Guard for Unguarded {
    async fn check(&self, _: &Asked<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}
