//! `--delay 50ms --stall 1s/10s --drop-logins 5% … -> Options`: how the server is told to be, and to misbehave.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use loadkit::core::{Seed, parse_duration};
use tokio::time::Instant;

use crate::game::{Rules, TICK};
use crate::work::Work;

/// How the server is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where it listens. By default on loopback, at the arena's own port.
    pub listen: SocketAddr,
    /// The rules of the game.
    pub rules: Rules,
    /// Everything that it sends comes so much later.
    pub delay: Duration,
    /// It begins so much later to look for a match, each time that it is asked for one.
    pub delay_matchmaking: Duration,
    /// When it does nothing at all.
    pub stall: Option<Stall>,
    /// What its players cost, and how much of that it can do.
    pub work: Work,
    /// The share of accounts whose logins it ignores, from 0 to 1.
    pub drop_logins: f64,
    /// Decides which accounts these are.
    pub seed: Seed,
    /// Ends when standard input does, for a program that runs it.
    pub until_eof: bool,
}

/// A server that does nothing for a while, again and again. It neither reads nor writes then, and no game goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How long.
    pub lasts: Duration,
    /// From one beginning to the next. The first is so long after the server's start.
    pub every: Duration,
}

impl Stall {
    /// When the stall ends in which the server is now, if it is in one.
    pub fn until(&self, start: Instant, now: Instant) -> Option<Instant> {
        let running = now.saturating_duration_since(start);
        let nth = running.as_nanos().checked_div(self.every.as_nanos()).and_then(|nth| u32::try_from(nth).ok())?;
        let begin = start + self.every.checked_mul(nth)?;
        (nth > 0 && now < begin + self.lasts).then(|| begin + self.lasts)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000)),
            rules: Rules::default(),
            delay: Duration::ZERO,
            delay_matchmaking: Duration::ZERO,
            stall: None,
            work: Work::default(),
            drop_logins: 0.0,
            seed: Seed(1),
            until_eof: false,
        }
    }
}

/// What `arena server --help` says.
pub const HELP: &str = "\
The arena's server. It plays until Ctrl-C, and then says what it has done.

Usage: arena server [OPTIONS]

Options:
  --listen ADDR          where it listens [default: 127.0.0.1:4000]
  --match-time TIME      how long a match lasts [default: 5s]
  --patience TIME        a match begins when 10 wait, or when one has waited so long [default: 3s]
  --until-eof            ends when standard input does, for a program that runs it

To misbehave, for demonstrations and tests:
  --delay TIME           everything that it sends comes so much later
  --delay-matchmaking TIME
                         it begins so much later to look for a match: one step alone that is slower
  --stall TIME/PERIOD    does nothing at all for a time, once in each period: 1s/10s
  --work-per-player-us N each player who is logged in costs so many microseconds of every tick [default: 0]
  --max-ticks-ms N       the budget: so many milliseconds of work can be done in a tick of 50 [default: 50]. What is
                         beyond it makes ticks and answers late, the more the longer. So the server holds
                         budget / work players: 20 ms at 100 µs are 200
  --drop-logins PERCENT  ignores the logins of some accounts: 5%
  --seed NUMBER          decides which [default: 1]
";

/// The command line makes no sense; says what would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsError(String);

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    /// If an option is unknown, lacks its value, or has one that makes no sense.
    pub fn parse<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Result<Options, OptionsError> {
        let mut options = Options::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let arg = arg.as_ref();
            if arg == "--until-eof" {
                options.until_eof = true;
                continue;
            }
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg, args.next().map(|value| value.as_ref().to_owned())),
            };
            options.set(name, value.as_deref())?;
        }
        if options.work.budget < TICK && options.work.per_player.is_zero() {
            let why = "`--max-ticks-ms` limits work, and there is none: give --work-per-player-us too";
            return Err(OptionsError(why.to_owned()));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionsError> {
        let read: fn(&mut Options, &str) -> Result<(), String> = match name {
            "--listen" => |options, text| set(&mut options.listen, text.parse()),
            "--match-time" => |options, text| set(&mut options.rules.match_time, parse_duration(text)),
            "--patience" => |options, text| set(&mut options.rules.patience, parse_duration(text)),
            "--delay-matchmaking" => |options, text| set(&mut options.delay_matchmaking, parse_duration(text)),
            "--delay" => |options, text| set(&mut options.delay, parse_duration(text)),
            "--stall" => |options, text| set(&mut options.stall, parse_stall(text).map(Some)),
            "--work-per-player-us" => |options, text| {
                set(&mut options.work.per_player, parse_number(text, 1_000_000).map(Duration::from_micros))
            },
            "--max-ticks-ms" => |options, text| set(&mut options.work.budget, parse_budget(text)),
            "--drop-logins" => |options, text| set(&mut options.drop_logins, parse_percent(text)),
            "--seed" => |options, text| set(&mut options.seed, Seed::parse(text)),
            _ => {
                return Err(OptionsError(format!(
                    "the server has no option `{name}`; `arena server --help` lists them"
                )));
            }
        };
        let value = value.ok_or_else(|| OptionsError(format!("`{name}` needs a value; see `arena server --help`")))?;
        read(self, value).map_err(|why| OptionsError(format!("`{name} {value}`: {why}")))
    }
}

fn set<T, E: fmt::Display>(slot: &mut T, value: Result<T, E>) -> Result<(), String> {
    *slot = value.map_err(|error| error.to_string())?;
    Ok(())
}

/// `1s/10s`.
fn parse_stall(text: &str) -> Result<Stall, String> {
    let (lasts, every) = text.split_once('/').ok_or("write how long, and in which period: 1s/10s")?;
    let lasts = parse_duration(lasts).map_err(|error| error.to_string())?;
    let every = parse_duration(every).map_err(|error| error.to_string())?;
    if lasts.is_zero() || lasts >= every {
        return Err("a stall is longer than nothing and shorter than its period".to_owned());
    }
    Ok(Stall { lasts, every })
}

/// A whole number from 0 to `most`.
fn parse_number(text: &str, most: u64) -> Result<u64, String> {
    let number = text.trim().parse::<u64>().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("write a whole number from 0 to {most}"))
}

/// Milliseconds of a tick.
fn parse_budget(text: &str) -> Result<Duration, String> {
    let budget = Duration::from_millis(parse_number(text, TICK.as_millis() as u64)?);
    if budget.is_zero() { Err("a server without a budget can do nothing".to_owned()) } else { Ok(budget) }
}

/// `5%`, as a share.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    let percent = number.filter(|percent| (0.0..=100.0).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| "write a share from 0% to 100%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_command_line_is_read() {
        let line = "--listen 127.0.0.1:0 --delay=50ms --stall 1s/10s --drop-logins 5% --seed 0x2a --until-eof";
        let options = Options::parse(line.split(' ')).unwrap();
        assert_eq!(options.listen.port(), 0);
        assert_eq!(options.delay, Duration::from_millis(50));
        assert_eq!(options.stall, Some(Stall { lasts: SECOND, every: 10 * SECOND }));
        assert_eq!(options.work.budget, TICK);
        let slow = Options::parse(["--delay-matchmaking", "15ms", "--patience=20ms"]).unwrap();
        assert_eq!(
            (slow.delay_matchmaking, slow.rules.patience),
            (Duration::from_millis(15), Duration::from_millis(20))
        );
        let options_of_work = Options::parse(["--max-ticks-ms", "20", "--work-per-player-us=100"]).unwrap();
        assert_eq!(options_of_work.work.capacity(), Some(200));
        assert_eq!((options.drop_logins, options.seed, options.until_eof), (0.05, Seed(42), true));
    }

    #[test]
    fn a_bad_one_is_refused_with_a_hint() {
        for (line, hint) in [
            ("--golf", "has no option `--golf`"),
            ("--delay", "needs a value"),
            ("--listen nowhere", "--listen nowhere"),
            ("--stall 1s", "1s/10s"),
            ("--stall 3s/2s", "shorter than its period"),
            ("--max-ticks-ms 51 --work-per-player-us 100", "from 0 to 50"),
            ("--max-ticks-ms 0 --work-per-player-us 100", "can do nothing"),
            ("--max-ticks-ms 20", "give --work-per-player-us too"),
            ("--work-per-player-us 0.5", "from 0 to 1000000"),
            ("--drop-logins 101%", "from 0% to 100%"),
            ("--drop-logins NaN", "from 0% to 100%"),
        ] {
            let error = Options::parse(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn stalls_come_once_a_period() {
        let (start, stall) = (Instant::now(), Stall { lasts: SECOND, every: 10 * SECOND });
        let at = |millis| stall.until(start, start + Duration::from_millis(millis)).map(|until| until - start);
        assert_eq!(at(0), None);
        assert_eq!(at(9_999), None);
        assert_eq!(at(10_000), Some(11 * SECOND));
        assert_eq!(at(10_999), Some(11 * SECOND));
        assert_eq!(at(11_000), None);
        assert_eq!(at(40_500), Some(41 * SECOND));
    }
}
