//! Why a request was not answered as asked: one shape of JSON for all, with the status that fits.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loadkit_core::{PlanError, RunId};
use loadkit_worker::{LineError, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{AuthError, is_of_roles};
use crate::error::FleetError;
use crate::estimate::OverQuota;
use crate::guard::Refusal;
use crate::guarded::QUOTA;

/// What is answered when a request fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, in words. Faults of a plan show the line, with a caret under the fault.
    pub error: String,
    /// The rule or quota that refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What to do about it. The fleet always says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Why a request was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 400: the request is wrong, in words; a plan's faults as they are shown.
    Bad(String),
    /// 401: nobody knows who asks.
    Unauthorized(String),
    /// 403: a rule of the policy refuses it; 429 if that is a quota.
    Refused(Refusal),
    /// 404: there is no such run.
    NoRun(RunId),
    /// 404: there is nothing there, in words.
    Missing(String),
    /// 409: it does not go together with what is; a run that has ended cannot be stopped.
    Conflict(String),
    /// 413: it is larger than anything may be.
    TooLarge(String),
    /// 429: a quota is too small.
    OverQuota(OverQuota),
    /// 429: too many do the same at once.
    Busy(String),
    /// 503: something that the fleet needs does not answer, in its words.
    Away(String),
}

impl Fault {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::Bad(_) => StatusCode::BAD_REQUEST,
            Fault::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Fault::Refused(refusal) if refusal.rule.starts_with(QUOTA) => StatusCode::TOO_MANY_REQUESTS,
            Fault::Refused(_) => StatusCode::FORBIDDEN,
            Fault::NoRun(_) | Fault::Missing(_) => StatusCode::NOT_FOUND,
            Fault::Conflict(_) => StatusCode::CONFLICT,
            Fault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::OverQuota(_) | Fault::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Fault::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is answered.
    pub fn body(&self) -> ErrorBody {
        let rule = match self {
            Fault::Refused(refusal) => Some(refusal.rule.clone()),
            Fault::OverQuota(over) => Some(over.need.name.clone()),
            _ => None,
        };
        ErrorBody { error: self.to_string(), rule, help: Some(self.help()) }
    }

    /// What to do about it.
    fn help(&self) -> String {
        let help = match self {
            Fault::Bad(_) => {
                "mend the request: GET /v1/openapi.json says what it may hold, docs/fleet.md what it means"
            }
            Fault::Unauthorized(_) => {
                "a caller sends `Authorization: Bearer TOKEN`, with a token that an administrator makes (POST /v1/tokens, or \
                 `loadkit-fleet token NAME` on its machine); on AWS the request is signed; a worker has the token of its run"
            }
            Fault::Refused(refusal) if refusal.rule.starts_with(QUOTA) => {
                "use fewer workers, or have the quota raised; POST /v1/estimate says what a run would need"
            }
            Fault::Refused(refusal) if is_of_roles(&refusal.rule) => {
                "ask an administrator for a token of that role (POST /v1/tokens); on AWS, administrators are the principals \
                 that the template's parameter `Administrators` names"
            }
            Fault::Refused(_) => {
                "ask for what the rule allows, or have it changed by whoever keeps the fleet's policy; POST /v1/estimate names \
                 all rules that a launch would meet"
            }
            Fault::OverQuota(over) => &over.need.raise,
            Fault::NoRun(_) => "GET /v1/runs lists the runs",
            Fault::Missing(_) => {
                "GET /v1/runs lists the runs, GET /v1/runs/{id} says how one stands, and GET /v1/runs/{id}/files what its \
                 report has"
            }
            Fault::Conflict(_) => {
                "look at how it stands: GET /v1/runs/{id} for a run, GET /v1/tokens for tokens; what has ended is launched anew"
            }
            Fault::TooLarge(_) => "send less in one request, or ask for less in one answer",
            Fault::Busy(_) | Fault::Away(_) => "try again in a while",
        };
        help.to_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Bad(why)
            | Fault::Unauthorized(why)
            | Fault::Missing(why)
            | Fault::Conflict(why)
            | Fault::TooLarge(why)
            | Fault::Busy(why)
            | Fault::Away(why) => f.write_str(why),
            Fault::Refused(refusal) => refusal.fmt(f),
            Fault::NoRun(run) => write!(f, "there is no run {run}"),
            Fault::OverQuota(over) => over.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl From<OverQuota> for Fault {
    fn from(over: OverQuota) -> Fault {
        Fault::OverQuota(over)
    }
}

impl From<FleetError> for Fault {
    fn from(error: FleetError) -> Fault {
        match error {
            FleetError::Plan(error) => error.into(),
            FleetError::Request(why) => Fault::Bad(why),
            FleetError::Refused(refusal) => refusal.into(),
            FleetError::UnknownRun(run) => Fault::NoRun(run),
            FleetError::Ended(_) => Fault::Conflict(error.to_string()),
            FleetError::Store(error) => error.into(),
        }
    }
}

impl From<PlanError> for Fault {
    fn from(error: PlanError) -> Fault {
        Fault::Bad(error.to_string())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Away(error.to_string())
    }
}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Fault {
        let why = error.to_string();
        match error {
            AuthError::Missing | AuthError::Unknown | AuthError::Revoked(_) => Fault::Unauthorized(why),
            AuthError::Name(_) => Fault::Bad(why),
            AuthError::Taken(_) | AuthError::TooMany => Fault::Conflict(why),
            AuthError::NoRandom | AuthError::Store(_) => Fault::Away(why),
        }
    }
}

impl From<LineError> for Fault {
    fn from(error: LineError) -> Fault {
        let why = error.to_string();
        match error {
            LineError::UnknownRun => Fault::Missing(why),
            LineError::Refused(why) => Fault::Conflict(why),
            LineError::Away(why) => Fault::Away(why),
        }
    }
}
