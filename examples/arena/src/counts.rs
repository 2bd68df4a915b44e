//! What the server has done, as it counts it itself.

use std::fmt;
use std::str::FromStr;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What the server has done. An answer is counted when it has been handed to the network.
        ///
        /// As text it is one line for each count: its name, a space, and the number.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{} {}", stringify!($name), self.$name)?;)+
                Ok(())
            }
        }

        impl Counts {
            fn slot(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

counts! {
    /// Connections made.
    connections,
    /// Logins answered with a welcome.
    logins,
    /// Logins that `--drop-logins` ignored.
    logins_dropped,
    /// Matches begun.
    matches,
    /// Players who were told that a match is found.
    matches_found,
    /// Moves answered.
    moves,
    /// Snapshots sent, one for each player who got one.
    snapshots,
    /// Results sent.
    results,
    /// Purchases.
    purchases,
    /// Requests refused.
    refusals,
    /// Players who took leave.
    leaves,
    /// Connections that ended without a leave-taking.
    disconnects,
    /// Messages that could not be read.
    malformed,
    /// Messages that the transport did not take: the player was gone, or its buffers were full.
    unsent,
}

/// The text does not hold counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsError(String);

impl fmt::Display for CountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no count: a line has a count's name, a space and a number", self.0)
    }
}

impl std::error::Error for CountsError {}

impl FromStr for Counts {
    type Err = CountsError;

    fn from_str(text: &str) -> Result<Counts, CountsError> {
        let mut counts = Counts::default();
        for line in text.lines() {
            let error = || CountsError(line.chars().take(80).collect());
            let (name, number) = line.split_once(' ').ok_or_else(error)?;
            *counts.slot(name).ok_or_else(error)? = number.parse().map_err(|_| error())?;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_as_text() {
        let counts = Counts { logins: 1_000, moves: u64::MAX, ..Counts::default() };
        assert_eq!(counts.to_string().parse(), Ok(counts));
        for bad in ["logins", "logins x", "golf 3", "logins -1"] {
            assert!(bad.parse::<Counts>().is_err(), "{bad}");
        }
    }
}
