//! The play: the engine runs, and the worker listens to the fleet and to its home.

use std::time::Duration;

use loadkit_core::{Control, Stop};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::engine::{Engine, Played};
use super::heart::{Heart, Said, Word};
use super::home::{Notice, changed};
use super::part::Part;
use super::wait::Begin;
use super::{CLOSE, FLUSH, Worker, leave_at};
use crate::command::StopWord;
use crate::lease::{Phase, WorkerEnd};

/// A scenario's `teardown` may take so long.
const TEARDOWN: Duration = Duration::from_secs(120);
/// An engine that has not ended so long after it should have will not end.
const STUCK: Duration = Duration::from_secs(30);

/// How the play ended.
#[derive(Debug, Default)]
pub(super) struct Over {
    pub(super) end: WorkerEnd,
    /// The lease was lost, in words.
    pub(super) lost: Option<String>,
    /// The engine has not ended.
    pub(super) stuck: bool,
}

/// The play under way.
struct Play<'a> {
    worker: &'a Worker,
    said: &'a Said,
    control: Control,
    grace: Duration,
    /// When its players begin to leave for their successors, if they do.
    hands_over_at: Option<Instant>,
    /// After this no more figures are taken.
    last_call: Instant,
    last_calls: &'a watch::Sender<Option<Instant>>,
    /// When players who were asked to leave are cut off by a word to stop at once.
    now_at: Option<Instant>,
    lost: Option<String>,
    cut_short: Option<String>,
}

/// Plays the part to its end, with an engine that is set up.
#[expect(clippy::too_many_arguments, reason = "it joins all that the worker is made of, once")]
pub(super) async fn play(
    worker: &Worker,
    heart: &mut Heart,
    said: &Said,
    part: &Part,
    begin: &Begin,
    (mut engine, control): (Engine, Control),
    lease: Duration,
    last_calls: &watch::Sender<Option<Instant>>,
) -> Over {
    let until = part.until(worker).saturating_sub(begin.from);
    let last_call = Instant::now() + TEARDOWN + until + part.leaving(worker) + FLUSH;
    let hands_over_at = part.hands_over(worker).then(|| Instant::now() + until);
    let grace = part.grace();
    let (now_at, lost, cut_short) = (None, None, None);
    let mut play = Play { worker, said, control, grace, hands_over_at, last_call, last_calls, now_at, lost, cut_short };
    play.hear(&heart.word.borrow_and_update().clone());
    engine.begin(begin.from);
    let mut notice = worker.home.notice();
    let played = loop {
        let given = *notice.borrow_and_update();
        play.bound(given);
        let stale_at = heart.word.borrow().heard + lease;
        let leave = leave_at(given, play.grace);
        let asked = play.control.asked();
        tokio::select! {
            biased;
            played = engine.ended() => break Some(played),
            Ok(()) = heart.word.changed(), if play.lost.is_none() => {
                let word = heart.word.borrow_and_update().clone();
                play.hear(&word);
            }
            () = changed(&mut notice) => {}
            () = sleep_until(stale_at), if asked < Stop::Now => play.go_stale(lease),
            () = at(leave), if asked == Stop::No => play.leave(given),
            () = at(play.now_at), if asked < Stop::Now => play.stop(Stop::Now),
            () = sleep_until(play.last_call + STUCK) => break None,
        }
    };
    play.over(played)
}

impl Play<'_> {
    /// Does what the fleet says.
    fn hear(&mut self, word: &Word) {
        if let Some(why) = &word.lost {
            self.lost = Some(why.clone());
            return self.stop(Stop::Now);
        }
        // What is no number was no word.
        let _ = self.control.dial(word.command.dial);
        match word.command.stop {
            StopWord::No if word.command.over => self.stop(Stop::Drain),
            StopWord::No => {}
            StopWord::Drain => self.stop(Stop::Drain),
            StopWord::Now => self.stop(Stop::Now),
        }
    }

    /// Nobody has heard of us for so long that the segment may be another's.
    fn go_stale(&mut self, lease: Duration) {
        self.cut_short = Some(format!("no word from the fleet for {} s", lease.as_secs()));
        self.stop(Stop::Now);
    }

    /// Whether its players have begun to leave for their successors.
    fn hands_over(&self) -> bool {
        self.hands_over_at.is_some_and(|at| at <= Instant::now())
    }

    /// The home ends the process soon.
    fn leave(&mut self, notice: Notice) {
        let why = if notice.leave { "its home told it to leave" } else { "its home's time for it runs out" };
        // Whoever has begun to hand over has played its stretch.
        if !self.hands_over() {
            self.cut_short = Some(why.into());
        }
        self.stop(Stop::Drain);
        let gone_by = notice.gone_by.map(|gone| gone.checked_sub(CLOSE * 2).unwrap_or(gone));
        let now_at = Instant::now() + self.grace;
        self.now_at = Some(gone_by.map_or(now_at, |gone| gone.min(now_at)));
    }

    fn stop(&mut self, stop: Stop) {
        if stop <= self.control.asked() {
            return;
        }
        self.control.stop(stop);
        self.said.change(|phase, _| *phase = Phase::Draining);
        let leaving = if stop == Stop::Drain { self.grace } else { Duration::ZERO };
        self.last_call = self.last_call.min(Instant::now() + leaving + FLUSH);
    }

    /// Bounds everything by what is left of the home's time, and tells the post.
    fn bound(&mut self, notice: Notice) {
        if let Some(gone_by) = notice.gone_by {
            self.last_call = self.last_call.min(gone_by.checked_sub(CLOSE).unwrap_or(gone_by));
        }
        let last_call = Some(self.last_call);
        self.last_calls.send_if_modified(|known| std::mem::replace(known, last_call) != last_call);
    }

    fn over(self, played: Option<Played>) -> Over {
        let handed_over = self.hands_over();
        // From now on nothing more comes: what is here gets its time.
        let last_call = self.last_call.min(Instant::now() + FLUSH);
        self.last_calls.send_replace(Some(last_call));
        let (end, stuck) = match played {
            Some(Ok(end)) => (WorkerEnd { handed_over, ..end }, false),
            Some(Err(why)) => (WorkerEnd { error: Some(why), ..WorkerEnd::default() }, false),
            None => {
                let error = Some("the players did not end when they should have".to_owned());
                (WorkerEnd { error, ..WorkerEnd::default() }, true)
            }
        };
        self.worker.log.say(Some(&self.worker.job), "played", self.cut_short.as_deref().unwrap_or_default());
        Over { end: WorkerEnd { cut_short: self.cut_short, ..end }, lost: self.lost, stuck }
    }
}

/// At that time; never if there is none.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
