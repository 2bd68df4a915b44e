//! Why there is no such profile.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::plan::{format_duration, suggest};
use crate::weights::WeightsError;

/// Why there is no such profile, or no such mixture of profiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NetworkError {
    /// A name has 1 to 60 characters, and none of `{`, `}`, `,` and `=`.
    Name {
        /// The name.
        name: String,
    },
    /// A share must be 0 to 1.
    Share {
        /// The figure, as plans call it.
        what: &'static str,
        /// The share.
        share: f64,
    },
    /// A time is out of its bounds.
    Time {
        /// The figure, as plans call it.
        what: &'static str,
        /// The time.
        time: Duration,
    },
    /// The `sigma` of a log-normal jitter must be 0 to 3.
    Sigma {
        /// The sigma.
        sigma: f64,
    },
    /// A line carries 1 kbit/s to 1 Tbit/s.
    Rate {
        /// Its rate.
        bits_per_second: u64,
    },
    /// An MTU is at least 68 bytes (RFC 791).
    Mtu {
        /// The size.
        bytes: u16,
    },
    /// There is no profile of this name.
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A profile of the plan has the name of one that the kit has.
    Taken {
        /// The name.
        name: String,
    },
    /// The weights of the profiles cannot be.
    Weights(WeightsError),
    /// The text does not say which profiles: write `lte`, or `lte=0.3,perfect=0.7`.
    Text {
        /// The part that cannot be read.
        part: String,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkError::Name { name } => {
                let shown: String = name.chars().take(60).collect();
                write!(f, "a network profile cannot be called `{shown}`: a name has 1 to 60 characters, none of {{}},=")
            }
            NetworkError::Share { what, share } => write!(f, "`{what}` is {share}: a share is 0% to 100%"),
            NetworkError::Time { what, time } => {
                let help = match *what {
                    "outages.every" | "new-address" => "it can be from 100ms to 24h",
                    "outages.lasts" => "an outage lasts some time, and less than from one to the next",
                    _ => "it can be at most 10s",
                };
                write!(f, "`{what}` is {}: {help}", format_duration(*time))
            }
            NetworkError::Sigma { sigma } => write!(f, "the sigma of the jitter is {sigma}: it can be from 0 to 3"),
            NetworkError::Rate { bits_per_second } => {
                write!(f, "the bandwidth is {bits_per_second} bit/s: it can be from 1kbit/s to 1Tbit/s")
            }
            NetworkError::Mtu { bytes } => write!(f, "the `mtu` is {bytes}: it can be from 68 to 65535 bytes"),
            NetworkError::Unknown { name, known } => {
                let name: String = name.chars().take(60).collect();
                write!(f, "there is no network profile `{name}`")?;
                match suggest(&name, known.iter().map(String::as_str)) {
                    Some(meant) => write!(f, ": did you mean `{meant}`?"),
                    None => write!(f, ": there are {}", known.join(", ")),
                }
            }
            NetworkError::Taken { name } => {
                write!(f, "the kit has a network profile `{name}` already: give yours a name of its own")
            }
            NetworkError::Weights(WeightsError::Zero) => {
                write!(f, "the weights of all network profiles are 0: raise at least one of them")
            }
            NetworkError::Weights(WeightsError::Twice { name }) => {
                write!(f, "the network profile `{name}` stands there twice: leave one of them out")
            }
            NetworkError::Weights(WeightsError::Weight { name, weight }) => {
                write!(f, "the weight of `{name}` is {weight}: a weight is a number of at least 0")
            }
            NetworkError::Weights(_) => write!(f, "a run has 1 to 1,000 network profiles"),
            NetworkError::Text { part } => {
                let part: String = part.chars().take(60).collect();
                write!(f, "`{part}` is no network profile with its weight: write lte, or lte=0.3,perfect=0.7")
            }
        }
    }
}

impl Error for NetworkError {}
