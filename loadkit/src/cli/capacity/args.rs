//! What may stand on the command line of `capacity`.

use std::path::PathBuf;
use std::time::Duration;

use loadkit_core::Threshold;
use loadkit_core::capacity::{Load, Range};

use crate::cli::args::{self, PlayArgs, RunArgs};

/// What `capacity --help` says in the end.
pub(crate) const HELP: &str = "\
Each probe is a run of its own: players join, over the time to settle and at most 200 a second; the load settles; and
then the probe is judged. All have the same seed, and with --party loads are whole parties. It goes up by doubling until the objective is missed, and then halves what lies between.
The answer is there after at most 12 probes, unless they contradict each other: then after at most 20.
The answer, its curve, and the report of the greatest load that held go where the report goes.

Examples:
  capacity --target game.test:4000 --slo 'p99(move) < 100ms'
  capacity --target game.test:4000 --slo 'p99(login) < 1s' --slo 'errors < 0.5%' --start 500 --max 20000
  capacity soak.toml --target game.test:4000 --slo 'p95(login) < 300ms' --arrivals --start 5 --max 200

Ctrl-C ends it with the answer so far.

Exit codes:
  0  the capacity is known, or is at least the safety limit
  1  not even the least load holds the objective
  2  wrong use
  3  the load generator gave out before the server (the answer is 'at least'), or the search did not come to its end";

/// The arguments of `capacity`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CapacityArgs {
    /// A plan, as a TOML file, for all but the load: who plays, over which networks, with which data.
    pub plan: Option<PathBuf>,
    /// Against which server, as whom, from where, and what is written of it.
    #[command(flatten)]
    pub play: PlayArgs,
    /// What must hold, for example 'p99(login) < 250ms'. May be given more than once; without it, the plan's thresholds.
    /// Unless one speaks of `errors`, at most 1 % of the players may fail.
    #[arg(long, value_parser = args::threshold, value_name = "RULE")]
    pub slo: Vec<Threshold>,
    /// The load of the first probe [default: 10].
    #[arg(long, value_name = "N")]
    pub start: Option<u64>,
    /// The safety limit: the server is never loaded with more [default: 10000].
    #[arg(long, value_name = "N")]
    pub max: Option<u64>,
    /// How far apart the two ends of the answer may be: 5%, or 0.05 [default: 5%].
    #[arg(long, value_parser = share, value_name = "SHARE", allow_hyphen_values = true)]
    pub tolerance: Option<f64>,
    /// How long each probe is judged [default: 30s].
    #[arg(long, value_parser = args::duration, value_name = "TIME", allow_hyphen_values = true)]
    pub probe: Option<Duration>,
    /// How long the load has to settle in each probe before it is judged [default: 10s].
    #[arg(long, value_parser = args::duration, value_name = "TIME", allow_hyphen_values = true)]
    pub settle: Option<Duration>,
    /// Loads are players that arrive in a second, each of whom plays once, instead of players at once.
    #[arg(long)]
    pub arrivals: bool,
}

impl CapacityArgs {
    /// As `run` would have them, but for the load.
    pub(super) fn as_run(&self) -> RunArgs {
        RunArgs { plan: self.plan.clone(), play: self.play.clone(), ..RunArgs::default() }
    }

    pub(super) fn load(&self) -> Load {
        if self.arrivals { Load::ArrivalsPerSecond } else { Load::Players }
    }

    /// Where to search. Loads are whole parties of so many.
    pub(super) fn range(&self, party: u64) -> Range {
        let unit = if self.arrivals { 1 } else { party };
        let Range { start, max, tolerance, .. } = Range::default();
        Range {
            // The first whole party, where the default is less.
            start: self.start.unwrap_or(start.max(unit)),
            max: self.max.unwrap_or(max),
            unit,
            tolerance: self.tolerance.unwrap_or(tolerance),
        }
    }
}

/// `5%`, or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let (number, of) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent.trim_end(), 100.0));
    let share = number.parse::<f64>().ok().filter(|number| number.is_finite());
    share.map(|number| number / of).ok_or_else(|| "write a share such as 5% or 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent_or_fractions() {
        assert_eq!((share("5%"), share(" 0.05 "), share("2.5 %")), (Ok(0.05), Ok(0.05), Ok(0.025)));
        assert!(share("five").is_err() && share("nan%").is_err());
    }

    #[test]
    fn a_search_starts_with_a_whole_party() {
        let args = CapacityArgs::default();
        assert_eq!((args.range(1), args.range(30).start, args.range(30).unit), (Range::default(), 30, 30));
        let args = CapacityArgs { arrivals: true, start: Some(2), ..args };
        assert_eq!((args.range(30).unit, args.range(30).start), (1, 2));
    }
}
