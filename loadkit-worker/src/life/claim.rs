//! The claim: a worker asks for its lease until it is answered, or until it may wait no longer.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::heart::Word;
use super::home::changed;
use super::outcome::{Ending, Outcome};
use super::{Worker, leave_at};
use crate::lease::WorkerStatus;
use crate::line::{Claim, LineError};
use crate::order::{Order, Terms};

/// A claim gets so long to be answered.
const MAX_CALL: Duration = Duration::from_secs(10);

/// The lease is the worker's.
pub(super) struct Granted {
    pub(super) order: Order,
    pub(super) word: Word,
}

/// Claims the lease.
pub(super) async fn claim(worker: &Worker, status: &WorkerStatus) -> Result<Granted, Outcome> {
    // What was agreed on is in the order, which is not there yet.
    let until = Instant::now() + Duration::from_millis(Terms::default().patience_ms);
    let mut notice = worker.home.notice();
    let mut backoff = Backoff::default();
    let mut said = false;
    loop {
        let (asked, asked_ms) = (Instant::now(), worker.clock.now_ms());
        let why = match timeout(MAX_CALL, worker.line.claim(&worker.job, status)).await {
            Ok(Ok(Claim::Granted { order, command, now_ms })) => {
                let word = Word::new(command, now_ms, asked, asked_ms, &*worker.clock);
                return Ok(Granted { order: *order, word });
            }
            Ok(Ok(Claim::Taken)) => {
                return Err(Outcome::without_lease(Ending::Taken, "another process has this attempt's lease"));
            }
            Ok(Ok(Claim::Over)) => {
                return Err(Outcome::without_lease(Ending::Over, "the run has ended or is stopping"));
            }
            Ok(Err(LineError::Away(why))) => why,
            Ok(Err(error)) => return Err(Outcome::without_lease(Ending::Unclaimed, error.to_string())),
            Err(_) => format!("no answer within {MAX_CALL:?}"),
        };
        if !said {
            said = true;
            worker.log.say(Some(&worker.job), "away", &why);
        }
        let gone = leave_at(*notice.borrow_and_update(), Duration::ZERO);
        let until = gone.map_or(until, |gone| gone.min(until));
        let pause = backoff.next();
        if Instant::now() + pause >= until {
            let words = format!("the fleet could not be reached in all the time that there was: {why}");
            return Err(Outcome::without_lease(Ending::Unclaimed, words));
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = changed(&mut notice) => {}
            () = sleep_until(until) => {}
        }
    }
}
