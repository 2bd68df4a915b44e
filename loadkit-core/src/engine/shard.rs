//! One shard: a thread with its own runtime, deadlines and recorder. Nothing in it is shared with other shards.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::bot::Seat;
use crate::failure::Error;
use crate::flight::Hangar;
use crate::metrics::{MetricId, Recorder, Snapshot, SnapshotKey, count_kind, micros, names};
use crate::party::Party;
use crate::run::RunInfo;
use crate::split::Labels;
use crate::timer::Timers;

/// The ids of what the engine itself records.
pub(crate) struct Builtin {
    pub(crate) tick_lag: MetricId,
    pub(crate) wake_lag: MetricId,
    pub(crate) start_lag: MetricId,
    pub(crate) long_turns: MetricId,
    pub(crate) ticks: MetricId,
    pub(crate) ticks_behind: MetricId,
}

impl Builtin {
    fn new(recorder: &mut Recorder) -> Builtin {
        Builtin {
            tick_lag: recorder.trend_id(names::TICK_LAG),
            wake_lag: recorder.trend_id(names::WAKE_LAG),
            start_lag: recorder.trend_id(names::START_LAG),
            long_turns: recorder.trend_id(names::LONG_TURNS),
            ticks: recorder.count_id(names::TICKS),
            ticks_behind: recorder.count_id(names::TICKS_BEHIND),
        }
    }
}

/// How a bot's life ended.
pub(crate) struct Ended {
    pub(crate) seat: u64,
    pub(crate) failed: bool,
}

/// Players counted since the last snapshot.
#[derive(Default)]
struct Tally {
    started: u64,
    finished: u64,
    failed: Vec<(String, u64)>,
    cut_off: u64,
}

/// What the bots of a shard share.
pub(crate) struct Shard {
    pub(crate) run: Arc<RunInfo>,
    pub(crate) timers: Timers,
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) builtin: Builtin,
    /// What the plan splits figures by; empty for most plans.
    pub(crate) labels: Box<[Labels]>,
    /// The start of the run.
    pub(crate) start: Instant,
    pub(crate) connected: Cell<u64>,
    pub(crate) active: Cell<u64>,
    pub(crate) planned: Cell<u64>,
    /// Where the dial stands; none if it has never stood anywhere but at 1.
    pub(crate) dial: Cell<Option<f64>>,
    /// What the players did last.
    pub(crate) hangar: Hangar,
    tally: RefCell<Tally>,
    parties: RefCell<FxHashMap<u64, Weak<Party>>>,
    ended: RefCell<Vec<Ended>>,
    spawner: RefCell<Option<Waker>>,
    next_key: Cell<SnapshotKey>,
    cut_at: Cell<Duration>,
}

impl Shard {
    /// One that begins so long after the start of the run.
    pub(crate) fn new(
        run: Arc<RunInfo>,
        (start, from): (Instant, Duration),
        first_key: SnapshotKey,
        hangar: Hangar,
    ) -> Shard {
        let mut recorder = Recorder::new();
        Shard {
            labels: Labels::all(&run),
            run,
            timers: Timers::new(),
            builtin: Builtin::new(&mut recorder),
            recorder: RefCell::new(recorder),
            start,
            connected: Cell::new(0),
            active: Cell::new(0),
            planned: Cell::new(0),
            dial: Cell::new(None),
            hangar,
            tally: RefCell::default(),
            parties: RefCell::default(),
            ended: RefCell::default(),
            spawner: RefCell::default(),
            next_key: Cell::new(first_key),
            cut_at: Cell::new(from),
        }
    }

    /// Time since the start of the run.
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Adds to a count.
    pub(crate) fn count(&self, name: &str, n: u64) {
        let mut recorder = self.recorder.borrow_mut();
        let id = recorder.count_id(name);
        recorder.count(id, n);
    }

    pub(crate) fn party(&self, seat: &Seat) -> Rc<Party> {
        let mut parties = self.parties.borrow_mut();
        if let Some(party) = parties.get(&seat.party()).and_then(Weak::upgrade) {
            return party;
        }
        // Parties whose members have all left go when the table would grow.
        if parties.len() == parties.capacity() {
            parties.retain(|_, party| party.strong_count() > 0);
        }
        let party = Rc::new(Party::new(seat.party(), seat.party_size()));
        parties.insert(seat.party(), Rc::downgrade(&party));
        party
    }

    /// Records a tick that begins now. If its bot waited for it, all of its lateness is ours.
    pub(crate) fn tick_began(&self, intended: Instant, asked_at: Instant, is_later_tick: bool) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.count(self.builtin.ticks, 1);
        if intended > asked_at {
            recorder.trend(self.builtin.tick_lag, Instant::now().saturating_duration_since(intended));
        } else if is_later_tick {
            recorder.count(self.builtin.ticks_behind, 1);
        }
    }

    pub(crate) fn bot_started(&self, intended: Instant) {
        self.tally.borrow_mut().started += 1;
        self.active.set(self.active.get() + 1);
        let lag = Instant::now().saturating_duration_since(intended);
        self.recorder.borrow_mut().trend(self.builtin.start_lag, lag);
    }

    pub(crate) fn bot_ended(&self, seat: u64, result: Result<(), Error>) {
        self.active.set(self.active.get().saturating_sub(1));
        let failed = match result {
            Err(mut error) if !error.is_stopped() => {
                if error.take_sample() {
                    let message = error.message();
                    self.recorder.borrow_mut().sample("", error.kind(), message, seat, self.elapsed());
                }
                count_kind(&mut self.tally.borrow_mut().failed, error.kind(), 1);
                true
            }
            _ => {
                self.tally.borrow_mut().finished += 1;
                false
            }
        };
        self.tell_spawner(Ended { seat, failed });
    }

    /// A player has been cut off while the run goes on.
    pub(crate) fn bot_cut_off(&self, seat: u64) {
        self.active.set(self.active.get().saturating_sub(1));
        self.cut_off(1);
        self.tell_spawner(Ended { seat, failed: false });
    }

    fn tell_spawner(&self, ended: Ended) {
        self.ended.borrow_mut().push(ended);
        if let Some(spawner) = self.spawner.borrow_mut().take() {
            spawner.wake();
        }
    }

    /// Records where the dial stands, once it has been turned.
    pub(crate) fn record_dial(&self) {
        if let Some(dial) = self.dial.get() {
            self.recorder.borrow_mut().gauge(names::DIAL, dial, self.elapsed());
        }
    }

    /// Those that ended since the last call. Without any, `waker` is woken at the next.
    pub(crate) fn take_ended(&self, waker: &Waker) -> Vec<Ended> {
        let ended = std::mem::take(&mut *self.ended.borrow_mut());
        if ended.is_empty() {
            *self.spawner.borrow_mut() = Some(waker.clone());
        }
        ended
    }

    /// Players still at work when the grace time is over.
    pub(crate) fn cut_off(&self, players: u64) {
        self.tally.borrow_mut().cut_off += players;
    }

    /// Takes all that was gathered since the last cut, up to `to` since the start of the run.
    pub(crate) fn cut(&self, to: Duration) -> Snapshot {
        let (flights, left_out) = self.hangar.take();
        self.count(names::FLIGHTS_LEFT_OUT, left_out);
        let taken = self.recorder.borrow_mut().take();
        let tally = std::mem::take(&mut *self.tally.borrow_mut());
        let key = self.next_key.get();
        self.next_key.set(SnapshotKey { seq: key.seq + 1, ..key });
        let from = self.cut_at.replace(to);
        Snapshot {
            active: self.active.get(),
            connected: self.connected.get(),
            planned: self.planned.get(),
            started: tally.started,
            finished: tally.finished,
            failed: tally.failed,
            cut_off: tally.cut_off,
            flights,
            ..taken.snapshot(key, micros(from), micros(to))
        }
    }
}
