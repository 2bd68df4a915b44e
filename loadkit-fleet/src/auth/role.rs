//! `look < launch < admin`: what the holder of a token may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the rules of roles are called, before the role.
const ROLE: &str = "role ";

/// What somebody may do. Each may do what those before it may, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See all runs and their reports, and ask what one would take.
    Look,
    /// Launch runs, stop them, turn their load, put markers.
    Launch,
    /// Make, list and revoke tokens.
    Admin,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Look => "look",
            Role::Launch => "launch",
            Role::Admin => "admin",
        }
    }

    /// The rule that asks for it.
    pub(super) fn rule(self) -> String {
        format!("{ROLE}{self} (always)")
    }

    /// What needs it, in words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Role::Look => "look at runs",
            Role::Launch => "launch, stop, turn or mark runs",
            Role::Admin => "make, list or revoke tokens",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a rule is one of roles, and none of a policy.
pub(crate) fn is_of_roles(rule: &str) -> bool {
    [Role::Look, Role::Launch, Role::Admin].iter().any(|role| role.rule() == rule)
}
