//! `minutes that do not change any more -> windows of five minutes, a quarter of an hour, an hour, four hours`, each written once.
//!
//! **What is made here is never made of parcels.** A keeper that takes a run up finds in the store how far the one before had
//! come, and goes on with the minutes behind that.

use std::time::Duration;

use loadkit_core::RunId;
use loadkit_sinks::Interval;
use loadkit_worker::{Store, StoreError};

use super::{CHANGING, WIDTHS, micros, read};

/// Windows read at a time.
const PAGE: usize = 100;
/// Keepers follow each other within this time of the run, at most.
const HANDED_ON: Duration = Duration::from_secs(300);

/// The wide windows that have begun.
#[derive(Clone, Debug, Default)]
pub(super) struct Wide {
    /// What each width has so far.
    open: [Option<Interval>; WIDTHS.len() - CHANGING],
    /// Minutes that end by then are in, µs of the run.
    in_us: u64,
    /// What is whole and to be written, with the number of its width.
    whole: Vec<(usize, Interval)>,
}

impl Wide {
    /// Those of a run whose minutes up to then have been written for good.
    ///
    /// What had been written of them is read again from a place on where all widths begin anew.
    pub(super) async fn take_up(store: &dyn Store, run: RunId, frozen_us: u64) -> Result<Wide, StoreError> {
        let of = |nth: usize| WIDTHS.get(nth).map_or(Duration::ZERO, |(width, _)| *width);
        let (minute, narrowest, widest) = (of(CHANGING - 1), of(CHANGING), of(WIDTHS.len() - 1));
        let before = frozen_us.saturating_sub(micros(HANDED_ON));
        let mut at_us = before - before % micros(widest);
        let mut wide = Wide { in_us: at_us, ..Wide::default() };
        // Behind the first that is missing all are made again, of minutes.
        'whole: while at_us < frozen_us {
            let windows = read(store, run, narrowest, Duration::from_micros(at_us), PAGE).await?;
            let is_last = windows.len() < PAGE;
            for window in windows {
                if window.from_us != at_us || window.to_us > frozen_us {
                    break 'whole;
                }
                at_us = window.to_us;
                wide.close(0, window);
            }
            if is_last {
                break;
            }
        }
        wide.in_us = at_us;
        // The narrowest were just read.
        wide.whole.retain(|(nth, _)| *nth > CHANGING);
        while at_us < frozen_us {
            let minutes = read(store, run, minute, Duration::from_micros(at_us), PAGE).await?;
            let is_last = minutes.len() < PAGE;
            let minutes: Vec<Interval> = minutes.into_iter().filter(|minute| minute.to_us <= frozen_us).collect();
            at_us = minutes.last().map_or(frozen_us, |minute| minute.to_us);
            wide.take(minutes.iter());
            if is_last {
                break;
            }
        }
        Ok(wide)
    }

    /// Takes in minutes that do not change any more, in order: all there are that end by then.
    pub(super) fn advance<'a>(&mut self, minutes: impl Iterator<Item = &'a Interval>, over_us: u64) {
        self.take(minutes);
        for nth in 0..self.open.len() {
            let width_us = width_us(nth);
            let is_over = |window: &mut Interval| (window.from_us / width_us + 1) * width_us <= over_us;
            if let Some(window) = self.open.get_mut(nth).and_then(|open| open.take_if(is_over)) {
                self.close(nth, window);
            }
        }
    }

    /// What is whole and to be written, with the number of its width.
    pub(super) fn whole(&self) -> &[(usize, Interval)] {
        &self.whole
    }

    /// It has been written.
    pub(super) fn written(&mut self) {
        self.whole.clear();
    }

    fn take<'a>(&mut self, minutes: impl Iterator<Item = &'a Interval>) {
        for minute in minutes {
            if minute.to_us > self.in_us {
                self.in_us = minute.to_us;
                self.feed(0, minute);
            }
        }
    }

    /// Adds a window of the width before to that of this one in which it lies.
    fn feed(&mut self, nth: usize, part: &Interval) {
        let width_us = width_us(nth);
        let Some(open) = self.open.get_mut(nth) else { return };
        match open {
            Some(window) if window.from_us / width_us == part.from_us / width_us => window.go_on(part),
            _ => {
                if let Some(window) = open.replace(part.clone()) {
                    self.close(nth, window);
                }
            }
        }
    }

    /// Nothing comes to a window any more: it is whole, and part of the next wider one.
    fn close(&mut self, nth: usize, mut window: Interval) {
        let width_us = width_us(nth);
        let index = window.from_us / width_us;
        (window.from_us, window.to_us) = (index * width_us, (index + 1) * width_us);
        self.feed(nth + 1, &window);
        self.whole.push((nth + CHANGING, window));
    }
}

fn width_us(nth: usize) -> u64 {
    WIDTHS.get(nth + CHANGING).map_or(1, |(width, _)| micros(*width))
}
