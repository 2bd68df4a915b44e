//! What a fleet agrees on with its workers, and with time.

use std::time::Duration;

use loadkit_worker::Terms;

use crate::launcher::Home;
use crate::staff::Usual;

/// How workers reach the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerLine {
    /// Over HTTP, here.
    Http {
        /// `http://127.0.0.1:8080`.
        url: String,
    },
    /// Over a table and a queue.
    Aws {
        /// The table's name.
        table: String,
        /// The queue's URL.
        queue: String,
    },
}

/// What a fleet agrees on with its workers and with time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How workers reach it.
    pub line: WorkerLine,
    /// The times agreed on with workers.
    pub terms: Terms,
    /// What is usual for a home.
    pub usual: fn(Home) -> Usual,
    /// How often a keeper looks after its run.
    pub pass: Duration,
    /// How often a keeper puts its collation aside: so much of it a new one has to do again. Of a day of a thousand workers it is
    /// some hundred kilobytes, and takes a third of a second.
    pub checkpoint: Duration,
    /// A run whose workers have not all come is put off for so long at most.
    pub assembling: Duration,
    /// After the last player has left, figures are waited for so long at most.
    pub tail: Duration,
    /// A segment is given to so many attempts at most, in each generation.
    pub attempts: u32,
}

impl Settings {
    /// The usual, with workers that reach the fleet so.
    pub fn new(line: WorkerLine) -> Settings {
        Settings {
            line,
            terms: Terms::default(),
            usual: Usual::of,
            pass: Duration::from_millis(1_500),
            checkpoint: Duration::from_secs(20),
            assembling: Duration::from_secs(180),
            tail: Duration::from_secs(30),
            attempts: 3,
        }
    }

    /// The same for workers on the fleet's own machine: everybody is near, so they can be asked more often.
    pub fn near(line: WorkerLine) -> Settings {
        let usual = Settings::new(line);
        let terms = Terms { beat_ms: 500, lease_ms: 6_000, report_ms: 1_000, ..usual.terms };
        Settings { terms, pass: Duration::from_millis(400), assembling: Duration::from_secs(60), ..usual }
    }
}
