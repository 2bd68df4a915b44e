//! `run -> its events, to its end`: a run is followed through whatever becomes of the way to its fleet.
//!
//! **A lost connection loses nothing**: an event's id says how much was told, so whoever comes back with it hears what is
//! behind it. Pauses between tries are bounded, and so is how long nothing is heard at all; the run goes on in any case.

use std::future::Future;
use std::io::{BufRead as _, IsTerminal as _, stdin};
use std::time::Duration;

use loadkit_core::RunId;
use loadkit_fleet::RunRecord;
use loadkit_http::HttpError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::client::FleetClient;
use super::events::{Events, Heard};
use super::screen::Screen;
use super::signals::Signals;
use super::trouble::Trouble;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// A fleet says that it is there every 15 s at least; whoever is silent for longer than two of these is not.
const SILENCE: Duration = Duration::from_secs(35);
/// So often is said that nothing is heard.
const LOOK: Duration = Duration::from_secs(5);
/// A stream that has ended well is opened again after this time: API Gateway ends each at once.
const COME_BACK: Duration = Duration::from_secs(1);
/// Between tries to come back: first this, then twice as long each time.
const PAUSE: Duration = Duration::from_millis(500);
/// But no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a run is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Following {
    /// Whoever hears nothing for so long gives up.
    pub(crate) patience: Duration,
    /// On Ctrl-C the run may be stopped: it was launched here.
    pub(crate) may_stop: bool,
    /// The run ends with this process.
    pub(crate) is_here: bool,
    /// Where nobody can be asked, a signal leaves the run playing.
    pub(crate) leave: bool,
}

/// How that ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The run has ended.
    Ended(Box<RunRecord>),
    /// It plays on.
    Left,
}

/// What is to be done after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    GoOn,
    Stop,
    Leave,
}

/// Follows a run to its end.
///
/// # Errors
/// If the fleet says that there is no such run, or nothing is heard of it for too long.
pub(crate) async fn follow(
    client: &FleetClient,
    run: RunId,
    following: &Following,
    screen: &Screen,
    output: &Output,
) -> Result<Followed, Failure> {
    let mut signals = Signals::listen()?;
    let mut told = 0;
    let mut listening = std::pin::pin!(listen(client, run, following, screen));
    loop {
        let by_hand = tokio::select! {
            heard = &mut listening => {
                heard?;
                screen.end();
                return Ok(Followed::Ended(Box::new(client.show(run).await?)));
            }
            by_hand = signals.next() => by_hand,
        };
        told += 1;
        screen.end();
        let wish = match (following.may_stop, told) {
            (false, _) => Wish::Leave,
            (true, 1) if by_hand && stdin().is_terminal() => ask(&mut signals, following).await,
            (true, 1) if following.leave => Wish::Leave,
            (true, 1) => Wish::Stop,
            (true, _) => Wish::Leave,
        };
        match wish {
            Wish::GoOn => told = 0,
            Wish::Leave if following.is_here => {
                output.say("the run ends at once: its fleet is this process");
                return Ok(Followed::Left);
            }
            Wish::Leave => {
                output.say(format_args!("left; it plays on: cargo loadkit watch {run}, cargo loadkit stop {run}"));
                return Ok(Followed::Left);
            }
            Wish::Stop => {
                output.say("stopping: the players are asked to leave; once more leaves them to it");
                // One that has ended meanwhile is fine: its end is about to be told.
                if let Err(failure) = client.stop(run, false).await
                    && failure.exit() != Exit::Failed
                {
                    return Err(failure);
                }
            }
        }
    }
}

/// Asks what is to become of the run. Another Ctrl-C leaves.
async fn ask(signals: &mut Signals, following: &Following) -> Wish {
    let leave = if following.is_here { "" } else { ", [l]eave it playing" };
    eprint!("\nThe run is on. [s]top it{leave}, or [g]o on watching? ");
    let (answer, answered) = oneshot::channel();
    // It may wait for its line for ever; the process does not wait for it.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        drop(answer.send(read.map(|_| line)));
    });
    tokio::select! {
        line = answered => match line {
            Ok(Ok(line)) => wish(&line, following.is_here),
            _ => Wish::GoOn,
        },
        _ = signals.next() => Wish::Leave,
    }
}

fn wish(line: &str, is_here: bool) -> Wish {
    match line.trim().chars().next().map(|c| c.to_ascii_lowercase()) {
        Some('s') => Wish::Stop,
        Some('l') if !is_here => Wish::Leave,
        _ => Wish::GoOn,
    }
}

/// Listens until the run has ended.
async fn listen(client: &FleetClient, run: RunId, following: &Following, screen: &Screen) -> Result<(), Failure> {
    let source = |after| async move { Ok(client.events(run, after).await?.map(Events::new)) };
    listen_to(source, following.patience, screen).await.map_err(|failure| match failure {
        // It was there when it was launched.
        Failed::Forgotten => {
            Failure::missing("the fleet does not know the run any more: it was started anew, without its data")
                .mended_by("start it over its data: cargo loadkit serve --set data=DIR")
        }
        Failed::Refused(failure) => failure,
        Failed::Silent(why) => Failure::missing(format!(
            "nothing was heard of the run {run} for {} s: {why}",
            following.patience.as_secs()
        ))
        .mended_by(format!("it plays on in its fleet: cargo loadkit watch {run}; --patience waits for longer")),
    })
}

/// Why listening ended before the run.
#[derive(Debug)]
enum Failed {
    Refused(Failure),
    Forgotten,
    Silent(String),
}

/// What events come from.
trait Source {
    async fn next(&mut self, silence: Duration) -> Result<Option<(Option<u64>, Heard)>, HttpError>;
}

impl Source for Events {
    async fn next(&mut self, silence: Duration) -> Result<Option<(Option<u64>, Heard)>, HttpError> {
        Events::next(self, silence).await
    }
}

async fn listen_to<S: Source, F: Future<Output = Result<Option<S>, Trouble>>>(
    open: impl Fn(u64) -> F,
    patience: Duration,
    screen: &Screen,
) -> Result<(), Failed> {
    let (mut after, mut last, mut pause, mut heard_any) = (0, Instant::now(), PAUSE, false);
    loop {
        let why = match open(after).await {
            Ok(None) => return Ok(()),
            Ok(Some(mut events)) => match read(&mut events, &mut after, &mut last, screen).await {
                Read::Ended => return Ok(()),
                Read::Closed => None,
                Read::Lost(why) => Some(why),
            },
            Err(Trouble::Final(failure)) if heard_any && failure.exit() == Exit::WrongUse => {
                return Err(Failed::Forgotten);
            }
            Err(Trouble::Final(failure)) => return Err(Failed::Refused(failure)),
            // The answer has told the time: the next try is signed by it.
            Err(Trouble::Passing(why) | Trouble::Skewed(why)) => Some(why),
        };
        heard_any |= after > 0;
        let Some(why) = why else {
            (pause, last) = (PAUSE, Instant::now());
            sleep(COME_BACK).await;
            continue;
        };
        if last.elapsed() > patience {
            return Err(Failed::Silent(why));
        }
        screen.silent(last.elapsed(), &why);
        sleep(pause).await;
        // Who was heard meanwhile may be back at once.
        pause = if last.elapsed() < LOOK { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
    }
}

/// How a stream ended.
enum Read {
    Ended,
    Closed,
    Lost(String),
}

async fn read<S: Source>(events: &mut S, after: &mut u64, last: &mut Instant, screen: &Screen) -> Read {
    loop {
        match events.next(LOOK).await {
            Ok(Some((id, heard))) => {
                screen.back(last.elapsed());
                *last = Instant::now();
                *after = id.unwrap_or(0).max(*after);
                screen.heard(&heard);
                match heard {
                    Heard::Ended(_) => return Read::Ended,
                    Heard::Fault(why) => return Read::Lost(why),
                    _ => {}
                }
            }
            Ok(None) => return Read::Closed,
            Err(HttpError::TimedOut { .. }) if last.elapsed() < SILENCE => {}
            Err(error) => return Read::Lost(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use loadkit_fleet::Crew;

    use super::*;

    /// A stream of these, each after a time; the last is its end.
    struct Played(VecDeque<(u64, Result<Option<u64>, &'static str>)>);

    impl Source for Played {
        async fn next(&mut self, silence: Duration) -> Result<Option<(Option<u64>, Heard)>, HttpError> {
            let (to, limit) = ("fleet".to_owned(), silence);
            let Some((ms, what)) = self.0.pop_front() else { return Ok(None) };
            let after = Duration::from_millis(ms);
            if after > silence {
                sleep(silence).await;
                let rest = after - silence;
                self.0.push_front((u64::try_from(rest.as_millis()).unwrap(), what));
                return Err(HttpError::TimedOut { to, limit });
            }
            sleep(after).await;
            match what {
                Ok(Some(9)) => Ok(Some((Some(9), Heard::Ended(Box::new(ended()))))),
                Ok(id) => Ok(id.map(|id| (Some(id), Heard::Workers(Crew::default())))),
                Err(why) => Err(HttpError::Broken { to, why: why.to_owned() }),
            }
        }
    }

    fn ended() -> RunRecord {
        serde_json::from_value(serde_json::json!({
            "schema": "loadkit.run/1", "id": "0000000000000001", "by": {"name": "a"}, "scenario": "", "target": "", "seed": "1",
            "home": "local", "why": "", "workers": 1, "state": "ended", "created_at_ms": 0, "start_at_ms": 0, "ends_at_ms": 0,
            "deadline_ms": 0,
        }))
        .unwrap()
    }

    /// Follows what these streams tell, which are opened one after the other; from where each was opened, and what was said.
    async fn followed(
        streams: Vec<Result<Option<Played>, Trouble>>,
        patience_s: u64,
    ) -> (Result<(), Failed>, Vec<u64>, String) {
        let (streams, asked) = (RefCell::new(VecDeque::from(streams)), RefCell::new(Vec::new()));
        let screen = Screen::to_memory();
        let open = |after| {
            asked.borrow_mut().push(after);
            let next = streams.borrow_mut().pop_front().unwrap_or_else(|| passing("gone for ever"));
            async { next }
        };
        let done = listen_to(open, Duration::from_secs(patience_s), &screen).await;
        (done, asked.into_inner(), screen.said())
    }

    fn of(events: &[(u64, Result<Option<u64>, &'static str>)]) -> Result<Option<Played>, Trouble> {
        Ok(Some(Played(events.to_vec().into())))
    }

    fn passing(why: &str) -> Result<Option<Played>, Trouble> {
        Err(Trouble::Passing(why.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_of_20_s_and_a_restart_lose_nothing() {
        let mut streams = vec![of(&[(10, Ok(Some(1))), (900, Ok(Some(4))), (100, Err("reset"))])];
        streams.extend((0..7).map(|_| passing("127.0.0.1:1 cannot be reached")));
        streams.push(of(&[(20_000, Ok(Some(6))), (10, Ok(None))]));
        streams.push(of(&[(5, Ok(Some(9)))]));
        let (done, asked, said) = followed(streams, 300).await;
        done.unwrap();
        assert_eq!(asked, [0, 4, 4, 4, 4, 4, 4, 4, 4, 6]);
        assert!(said.contains("no news for") && said.contains("cannot be reached"), "{said}");
        assert!(said.contains("news again, after 24 s"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hears_nothing_for_too_long_gives_up() {
        let (done, asked, _) = followed(vec![of(&[(10, Ok(Some(3)))])], 60).await;
        assert!(matches!(done, Err(Failed::Silent(why)) if why == "gone for ever"));
        assert!((10..30).contains(&asked.len()), "{asked:?}");
        let silent = of(&[(10, Ok(Some(3))), (1_000_000, Ok(Some(4)))]);
        let (done, asked, said) = followed(vec![silent, of(&[(1, Ok(Some(9)))])], 60).await;
        done.unwrap();
        assert_eq!(asked, [0, 3], "a connection over which nothing comes is given up: {said}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_said_at_once() {
        let (done, ..) = followed(vec![Err(Trouble::Final(Failure::wrong_use("no such run")))], 60).await;
        assert!(matches!(done, Err(Failed::Refused(_))));
        let streams = vec![of(&[(1, Ok(Some(3)))]), Err(Trouble::Final(Failure::wrong_use("no such run")))];
        let (done, ..) = followed(streams, 60).await;
        assert!(matches!(done, Err(Failed::Forgotten)));
        let (done, ..) = followed(vec![Ok(None)], 60).await;
        done.unwrap();
    }

    #[test]
    fn a_wish_is_its_first_letter() {
        assert_eq!((wish("S\n", false), wish("leave", false)), (Wish::Stop, Wish::Leave));
        assert_eq!((wish("leave", true), wish("", false), wish("what", false)), (Wish::GoOn, Wish::GoOn, Wish::GoOn));
    }
}
