//! How made-up workers play: what of, and how finely they tell of it.

use std::sync::Arc;
use std::time::Duration;

use super::Game;

/// How made-up workers play.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// They tell of so wide intervals until then, and of seconds afterwards; from the start on of seconds, if none.
    pub coarse: Option<(Duration, Duration)>,
    /// What they play; none for three steps of arithmetic, all of which is remembered in the ledger.
    pub game: Option<Arc<Game>>,
}

impl Style {
    /// When the interval ends that begins then. Wide ones end at whole multiples of their width.
    pub(super) fn after(&self, from: Duration) -> Duration {
        let second = from + Duration::from_secs(1);
        let Some((width, until)) = self.coarse.filter(|(_, until)| from < *until) else { return second };
        let widths = (from.as_millis() / width.as_millis().max(1)) as u32 + 1;
        (width * widths).min(until).max(second)
    }
}
