//! The wait for the common start. Meanwhile the engine does its set-up.

use std::time::Duration;

use tokio::time::sleep;

use super::engine::Engine;
use super::heart::{Heart, Said};
use super::home::changed;
use super::part::Part;
use super::{Worker, leave_at};
use crate::command::StopWord;
use crate::order::Terms;

/// A worker that is late by less begins as if it were not: its players come at once, and its times are late by so much.
const SLIGHTLY: Duration = Duration::from_secs(1);
/// A start is put off no later than so many beats before it; who has heard nothing for longer may not know of it.
const BEATS: u32 = 3;

/// How the wait ended.
pub(super) enum Waited {
    Begin(Begin),
    Over,
    Lost(String),
    Failed(String),
}

/// When the worker begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// At this time of the run.
    pub(super) from: Duration,
    /// So late against what was agreed.
    pub(super) late: Duration,
}

/// Waits for the start that was agreed on last, and until the engine is set up.
pub(super) async fn wait(
    worker: &Worker,
    heart: &mut Heart,
    said: &Said,
    part: &Part,
    terms: &Terms,
    engine: &mut Engine,
) -> Waited {
    let every = Duration::from_millis(terms.beat_ms.max(1));
    let patience = Duration::from_millis(terms.patience_ms);
    let mut notice = worker.home.notice();
    loop {
        let word = heart.word.borrow_and_update().clone();
        if let Some(why) = word.lost {
            return Waited::Lost(why);
        }
        if word.command.over || word.command.stop > StopWord::No {
            return Waited::Over;
        }
        let leave = leave_at(*notice.borrow_and_update(), part.grace());
        if leave.is_some_and(|at| at <= tokio::time::Instant::now()) {
            return Waited::Failed("the worker's home ended it before the run began".into());
        }
        let start_at = word.command.start_at_ms.saturating_add(worker.job.from_ms);
        let left = word.until(start_at, &*worker.clock);
        let fresh = word.heard.elapsed() < every * BEATS;
        let late = Duration::from_millis(left.min(0).unsigned_abs());
        let rest = part.until(worker).saturating_sub(worker.job.from() + late);
        if left <= 0 && fresh && engine.is_set_up() {
            return begin(worker, part, late);
        }
        let left = if left > 0 {
            Duration::from_millis(left.unsigned_abs())
        } else if fresh {
            // The others may have begun.
            if rest.is_zero() {
                let (now, until) = (worker.job.from() + late, part.until(worker));
                return Waited::Failed(format!(
                    "at {now:?} of the run it was not set up, and its part ends at {until:?}"
                ));
            }
            rest
        } else {
            // The start may have been put off: wait for a word.
            if late >= patience {
                let words = format!(
                    "the fleet could not be reached at the start, nor for {} s after it: it may have been put off",
                    patience.as_secs()
                );
                return Waited::Failed(words);
            }
            patience - late
        };
        tokio::select! {
            set_up = engine.set_up(), if !engine.is_set_up() => match set_up {
                Ok(()) => said.tell(|_, status| status.preparing = false),
                Err(why) => return Waited::Failed(why),
            },
            () = sleep(left) => {}
            Ok(()) = heart.word.changed() => {}
            () = changed(&mut notice) => {}
            () = super::play::at(leave) => {}
        }
    }
}

fn begin(worker: &Worker, part: &Part, late: Duration) -> Waited {
    let agreed = worker.job.from();
    let now = agreed + late;
    let until = part.until(worker);
    if now >= until {
        return Waited::Failed(format!("it came at {now:?} of the run, and its part ends at {until:?}"));
    }
    Waited::Begin(Begin { from: if late < SLIGHTLY { agreed } else { now }, late })
}
