//! The one thing that travels against the flow: whether a run should stop.

use tokio::sync::watch;

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

/// Stops a run, from any thread. Clones control the same run.
#[derive(Clone, Debug)]
pub struct Control(watch::Sender<Stop>);

impl Control {
    /// A control for a run that has not been asked to stop.
    pub fn new() -> Control {
        Control(watch::Sender::new(Stop::No))
    }

    /// Asks the run to stop. Never takes back what was asked before.
    pub fn stop(&self, stop: Stop) {
        self.0.send_if_modified(|asked| {
            let further = stop > *asked;
            *asked = stop.max(*asked);
            further
        });
    }

    /// How far it has been asked.
    pub fn asked(&self) -> Stop {
        *self.0.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Stop> {
        self.0.subscribe()
    }
}

impl Default for Control {
    fn default() -> Control {
        Control::new()
    }
}
