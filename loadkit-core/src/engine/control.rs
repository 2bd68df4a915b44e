//! What travels against the flow: whether a run should stop, and how much of its load it is to play.

use tokio::sync::watch;

/// The most that a dial can say: each player twice.
const MAX_DIAL: f64 = 2.0;

/// How far a run has been asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// No new players; those at work are asked to leave, and have the grace time for it.
    Drain,
    /// At once.
    Now,
}

/// What a run has been told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) stop: Stop,
    /// How much of the plan's load is to be played: 1 is as planned.
    pub(crate) dial: f64,
}

/// Stops a run and turns its load up and down, from any thread. Clones control the same run.
#[derive(Clone, Debug)]
pub struct Control(watch::Sender<Order>);

impl Control {
    /// A control for a run that has not been asked to stop, and that plays the plan's load.
    pub fn new() -> Control {
        Control(watch::Sender::new(Order { stop: Stop::No, dial: 1.0 }))
    }

    /// Asks the run to stop. Never takes back what was asked before.
    pub fn stop(&self, stop: Stop) {
        self.0.send_if_modified(|asked| {
            let further = stop > asked.stop;
            asked.stop = stop.max(asked.stop);
            further
        });
    }

    /// How far it has been asked.
    pub fn asked(&self) -> Stop {
        self.0.borrow().stop
    }

    /// Turns the load to this share of what the plan says at any time: 0.5 is half of it, 2.0 all of it twice. It stays
    /// there until it is turned again, through all ramps and holds; said before the start, it holds from the start.
    ///
    /// What is below 0 counts as 0, what is above 2 as 2. False, and nothing changes, if `to` is not a number.
    ///
    /// Parties have ranks, and those with the highest leave first: turned back, the same seats play again. Above 1 each
    /// party has a twin in seats of its own ([`Seat::twin_of`](crate::Seat::twin_of)), which comes and goes with it. Players
    /// who are not wanted any more are asked to leave, and cut off after the plan's grace time; those who come do so
    /// within five seconds, not all at once. Players who arrived (rather than joined the population) and were asked to
    /// leave do not come back; the arrivals after them follow the dial. The plan's total bounds the players started all
    /// the same.
    pub fn dial(&self, to: f64) -> bool {
        if to.is_nan() {
            return false;
        }
        // The sum makes a positive zero of a negative one.
        let to = to.clamp(0.0, MAX_DIAL) + 0.0;
        self.0.send_if_modified(|asked| std::mem::replace(&mut asked.dial, to) != to);
        true
    }

    /// Where the dial stands: 1 unless it has been turned.
    pub fn dialled(&self) -> f64 {
        self.0.borrow().dial
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Order> {
        self.0.subscribe()
    }
}

impl Default for Control {
    fn default() -> Control {
        Control::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_is_clamped_and_refuses_what_is_no_number() {
        let control = Control::new();
        assert_eq!(control.dialled(), 1.0);
        for (said, stands) in [(0.5, 0.5), (-3.0, 0.0), (f64::INFINITY, 2.0), (1.25, 1.25)] {
            assert!(control.dial(said));
            assert_eq!(control.dialled(), stands);
        }
        assert!(!control.dial(f64::NAN));
        control.stop(Stop::Drain);
        assert_eq!((control.dialled(), control.asked()), (1.25, Stop::Drain));
    }
}
