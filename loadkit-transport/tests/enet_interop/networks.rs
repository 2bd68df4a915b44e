//! The networks between both ends.

use std::time::Duration;

use loadkit_core::network::{Direction, Jitter, Reorder, Spread};

/// As good as it gets.
pub(crate) fn calm() -> Direction {
    Direction { latency: Duration::from_millis(10), ..Direction::default() }
}

/// 10 % loss, 5 % duplication, 50 ms of jitter, and a tenth held back so that others overtake.
pub(crate) fn bad() -> Direction {
    Direction {
        latency: Duration::from_millis(20),
        jitter: Some(Jitter { spread: Spread::Uniform(Duration::from_millis(50)), wanders: Duration::ZERO }),
        loss: 0.1,
        duplicate: 0.05,
        reorder: Some(Reorder { share: 0.1, by: Duration::from_millis(60) }),
        ..Direction::default()
    }
}
