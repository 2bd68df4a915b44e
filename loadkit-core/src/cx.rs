//! A bot's view of the run: time, chance, metrics, party and connections.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::bot::Seat;
use crate::bot_rng::BotRng;
use crate::engine::Shard;
use crate::failure::{Error, Result};
use crate::flight::Tape;
use crate::metrics::{Sample, unit_of};
use crate::network::Profile;
use crate::party::Party;
use crate::run::{RunInfo, Target};
use crate::seed::Rng;
use crate::split::Label;
use crate::step::Step;
use crate::think::Think;
use crate::ticks::{Hz, Ticks};
use crate::timer::{Timers, after};

/// A wait of a bot that has been asked to leave.
const LEAVING_WAIT: Duration = Duration::from_millis(1);
/// A turn that takes longer keeps the others of its shard waiting for as long as a tick may be late.
pub(crate) const LONG_TURN: Duration = Duration::from_millis(10);
/// The name of the step in which a bot connects.
pub(crate) const CONNECT: &str = "connect";

/// Something that can be connected to the target: a protocol with its codec, as the transports make them.
pub trait Connect {
    /// What a bot plays with afterwards.
    type Connection;

    /// Connects the bot of `cx` to the target.
    fn connect(self, cx: &Cx) -> impl Future<Output = Result<Self::Connection>>;
}

/// A connection's part that goes on while its bot waits for something else. The bot's task calls it.
///
/// It runs on the bot's own task: what wakes the socket wakes the bot, with no task and no queue between them.
pub trait Drive {
    /// Before the bot's turn: takes in what has arrived, and what is due.
    fn before_turn(&self, cx: &mut Context<'_>);

    /// After the bot's turn: sends what it has queued.
    fn after_turn(&self, cx: &mut Context<'_>);
}

/// A bot's view of the run. Cheap to clone; a clone is the same bot's.
#[derive(Clone)]
pub struct Cx(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) shard: Rc<Shard>,
    pub(crate) seat: Seat,
    rng: RefCell<Rng>,
    /// When the next step should begin, if a schedule (an arrival, a tick, a think time) said so.
    intended: Cell<Option<Instant>>,
    /// When what the bot was handed last had arrived, within this turn.
    arrived: Cell<Option<Instant>>,
    pub(crate) stopping: Cell<bool>,
    /// Its task is to end at its next turn, without a word of the bot's.
    pub(crate) is_cut: Cell<bool>,
    connections: Cell<u32>,
    /// Connections begun.
    dialled: Cell<u32>,
    /// Wakes the bot's task.
    waker: Cell<Option<Waker>>,
    drives: RefCell<Vec<Weak<dyn Drive>>>,
    party: OnceCell<Rc<Party>>,
    /// What the bot did last, if it is recorded.
    pub(crate) tape: Cell<Option<Box<Tape>>>,
}

impl Cx {
    pub(crate) fn new(shard: Rc<Shard>, seat: Seat, intended: Instant) -> Cx {
        let rng = shard.run.seed.rng("bot", seat.index, u64::from(seat.life));
        let tape = shard.hangar.tape(&seat, shard.start);
        Cx(Rc::new(Inner {
            tape: Cell::new(tape),
            shard,
            seat,
            rng: RefCell::new(rng),
            intended: Cell::new(Some(intended)),
            arrived: Cell::new(None),
            stopping: Cell::new(false),
            is_cut: Cell::new(false),
            connections: Cell::new(0),
            dialled: Cell::new(0),
            waker: Cell::new(None),
            drives: RefCell::new(Vec::new()),
            party: OnceCell::new(),
        }))
    }

    /// The bot's seat.
    pub fn seat(&self) -> &Seat {
        &self.0.seat
    }

    /// What the whole run has in common.
    pub fn run(&self) -> &RunInfo {
        &self.0.shard.run
    }

    /// The server under test; of two, that of the bot's party.
    pub fn target(&self) -> &Target {
        self.0.shard.run.target.of_party(self.0.seat.party())
    }

    /// The name of the network profile that the bot plays over; none if the plan has no networks.
    pub fn network(&self) -> Option<&str> {
        self.network_profile().map(Profile::name)
    }

    /// The index of that profile among those of the plan.
    pub fn network_index(&self) -> Option<usize> {
        self.run().plan.networks().map(|_| self.0.seat.network as usize)
    }

    /// What lies between the bot and the server. Connections apply it by themselves.
    pub fn network_profile(&self) -> Option<&Profile> {
        self.run().plan.networks()?.get(self.0.seat.network as usize)
    }

    /// Time since the start of the run.
    pub fn elapsed(&self) -> Duration {
        self.0.shard.elapsed()
    }

    /// The bot's random numbers: the same for the same run seed, seat and life, wherever it plays.
    pub fn rng(&self) -> BotRng<'_> {
        BotRng(&self.0.rng)
    }

    /// The shard's deadline queue.
    pub fn timers(&self) -> &Timers {
        &self.0.shard.timers
    }

    /// Whether the bot has been asked to leave. Ticks and think times end when it is.
    pub fn stopping(&self) -> bool {
        self.0.stopping.get()
    }

    /// Waits until the bot is asked to leave. For `select!` beside a wait that would go on.
    pub async fn stopped(&self) {
        // The bot's task is woken when it is asked to leave, so this is polled again then.
        poll_fn(|_| if self.stopping() { Poll::Ready(()) } else { Poll::Pending }).await
    }

    /// Waits for `time` on the shard's sharp timer, or until the bot is asked to leave. What comes after counts from when
    /// it does begin.
    pub async fn sleep(&self, time: Duration) {
        self.wait_until(after(Instant::now(), time)).await;
        self.0.intended.set(None);
    }

    /// Waits as a player who thinks. The next step should begin when the time is over, and its response time counts
    /// from then. Ends early when the bot is asked to leave.
    pub async fn think(&self, think: impl Into<Think>) {
        let time = think.into().sample(&mut self.rng());
        let until = after(Instant::now(), time);
        self.wait_until(until).await;
        self.0.intended.set((!self.stopping()).then_some(until));
    }

    /// Waits until `at` or until the bot is asked to leave.
    pub(crate) async fn wait_until(&self, at: Instant) {
        // A bot that waits on after it was asked to leave does wait, for a moment: one that loops must not spin.
        let was_asked = self.stopping();
        let at = if was_asked { at.min(Instant::now() + LEAVING_WAIT) } else { at };
        let mut sleep = pin!(self.timers().sleep_until(at));
        poll_fn(|cx| if self.stopping() && !was_asked { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }).await
    }

    /// A tick `rate` times a second, from now on; each carries the time at which it should begin.
    pub fn ticks(&self, rate: Hz) -> Ticks {
        Ticks::new(self.clone(), rate)
    }

    pub(crate) fn intend(&self, at: Instant) {
        self.0.intended.set(Some(at));
    }

    /// Runs a named part of the play and records how long it took, twice: its service time from when it did begin,
    /// and its response time from when it should have (by the arrival, tick or think time before it). Failures are
    /// counted by kind and pass through.
    ///
    /// If the step ends in the turn in which a message was handed to the bot, it ends at that message's time of
    /// arrival in the kernel, not when the bot came to its turn.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn step<'a, T, E: Into<Error>, F: Future<Output = Result<T, E>>>(
        &'a self,
        name: &'a str,
        work: F,
    ) -> Step<'a, F> {
        Step::new(self, name, work)
    }

    /// What the bot's figures are called beside their own names, where the plan splits them.
    #[inline]
    pub(crate) fn labels(&self) -> impl Iterator<Item = &Label> {
        self.0.shard.labels.iter().filter_map(|labels| labels.of(&self.0.seat))
    }

    /// When the next step should begin, if a schedule said so. Only the first that asks is told.
    pub(crate) fn take_intended(&self) -> Option<Instant> {
        self.0.intended.take()
    }

    /// When what was handed to the bot in this turn had arrived, if not before `start`.
    pub(crate) fn arrived_since(&self, start: Instant) -> Option<Instant> {
        self.0.arrived.get().filter(|&at| at >= start)
    }

    /// Records a value of a trend: a time, or a whole number.
    pub fn trend(&self, name: &str, value: impl Sample) {
        let mut recorder = self.0.shard.recorder.borrow_mut();
        let id = recorder.trend_id(name);
        let (unit, value) = (unit_of(&value), value.value());
        recorder.trend_value(id, unit, value);
        for label in self.labels() {
            let id = recorder.trend_part(id, label);
            recorder.trend_value(id, unit, value);
        }
    }

    /// Adds `n` to a count.
    pub fn count(&self, name: &str, n: u64) {
        let mut recorder = self.0.shard.recorder.borrow_mut();
        let id = recorder.count_id(name);
        recorder.count(id, n);
        for label in self.labels() {
            let id = recorder.count_part(id, label);
            recorder.count(id, n);
        }
    }

    /// Records a value of a trend, and of its part of this label.
    pub fn trend_part(&self, name: &str, label: &Label, value: impl Sample + Copy) {
        self.trend(name, value);
        let mut recorder = self.0.shard.recorder.borrow_mut();
        let id = recorder.trend_id(name);
        let id = recorder.trend_part(id, label);
        recorder.trend(id, value);
    }

    /// Adds `n` to a count, and to its part of this label.
    pub fn count_part(&self, name: &str, label: &Label, n: u64) {
        self.count(name, n);
        let mut recorder = self.0.shard.recorder.borrow_mut();
        let id = recorder.count_id(name);
        let id = recorder.count_part(id, label);
        recorder.count(id, n);
    }

    /// Sets a gauge. Reports show its last, smallest and largest value over all bots.
    pub fn gauge(&self, name: &str, value: f64) {
        let shard = &self.0.shard;
        shard.recorder.borrow_mut().gauge(name, value, shard.elapsed());
    }

    /// Connects to the target, as a step named `connect`.
    ///
    /// # Errors
    /// When the target cannot be reached, refuses, or does not answer in time.
    pub fn connect<C: Connect>(&self, with: C) -> Pin<Box<impl Future<Output = Result<C::Connection>>>> {
        // Boxed, because it is large and soon over, while the bot's own future stays for its whole life.
        Box::pin(self.step(CONNECT, with.connect(self)))
    }

    /// The bot's party: it shares a value with it, and its members wait for each other.
    pub fn party(&self) -> Rc<Party> {
        self.0.party.get_or_init(|| self.0.shard.party(&self.0.seat)).clone()
    }

    /// Waits until every member of the party has come to the rendezvous of this name.
    ///
    /// # Errors
    /// [`crate::Kind::RENDEZVOUS`] when not all come within `timeout`.
    pub async fn rendezvous(&self, name: &str, timeout: Duration) -> Result {
        let met = self.party().meet(self, name, timeout).await;
        self.0.intended.set(None);
        Ok(met?)
    }

    /// For connections: has [`Drive`]'s methods called around every turn of the bot, for as long as `drive` lives.
    pub fn attach(&self, drive: &Rc<impl Drive + 'static>) {
        let drive: Rc<dyn Drive> = drive.clone();
        let mut drives = self.0.drives.borrow_mut();
        drives.retain(|known| known.strong_count() > 0);
        // Most bots have one connection: no room for more until there are.
        drives.reserve_exact(1);
        drives.push(Rc::downgrade(&drive));
    }

    /// For connections: a message is being handed to the bot that had arrived `at`. What the bot waited for besides
    /// is the kit's lag, and is recorded as such.
    pub fn arrived(&self, at: Instant) {
        let shard = &self.0.shard;
        self.0.arrived.set(Some(at));
        shard.recorder.borrow_mut().trend(shard.builtin.wake_lag, Instant::now().saturating_duration_since(at));
    }

    /// For connections: the number of one that begins, among the bot's own, from 0. With the seat and its life it names
    /// streams of random numbers that are the connection's alone.
    pub fn next_connection(&self) -> u32 {
        self.0.dialled.replace(self.0.dialled.get().wrapping_add(1))
    }

    /// For connections: one has been opened.
    pub fn connection_opened(&self) {
        let open = self.0.connections.get();
        self.0.connections.set(open + 1);
        if open == 0 {
            self.0.shard.connected.set(self.0.shard.connected.get() + 1);
        }
    }

    /// For connections: one of those opened has been closed.
    pub fn connection_closed(&self) {
        let open = self.0.connections.get();
        self.0.connections.set(open.saturating_sub(1));
        if open == 1 {
            self.0.shard.connected.set(self.0.shard.connected.get().saturating_sub(1));
        }
    }

    /// Tells the shard that the bot's life is over.
    pub(crate) fn end(&self, result: Result) {
        self.land(result.as_ref().err());
        self.0.shard.bot_ended(self.0.seat.index, result);
    }

    /// Asks the bot to leave.
    pub(crate) fn ask_to_leave(&self) {
        if !self.0.stopping.replace(true) {
            self.wake();
        }
        self.record(|tape| tape.asked());
    }

    /// Has the bot's task polled, if it has been before.
    pub(crate) fn wake(&self) {
        self.0.waker.take().into_iter().for_each(Waker::wake);
    }

    /// One turn of the bot: what has arrived, the bot, what it sends.
    pub(crate) fn turn<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        // The same task has the same waker for its whole life.
        let waker = self.0.waker.take().filter(|known| known.will_wake(cx.waker()));
        self.0.waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
        let began = Instant::now();
        self.each_drive(|drive| drive.before_turn(cx));
        self.0.arrived.set(None);
        let result = poll(cx);
        self.each_drive(|drive| drive.after_turn(cx));
        let took = began.elapsed();
        if took > LONG_TURN {
            let shard = &self.0.shard;
            shard.recorder.borrow_mut().trend(shard.builtin.long_turns, took);
        }
        result
    }

    /// Calls `f` with each live drive. A bot that opens a connection in its turn has it driven from then on.
    fn each_drive(&self, mut f: impl FnMut(&dyn Drive)) {
        let mut i = 0;
        loop {
            let drive = match self.0.drives.borrow().get(i) {
                Some(drive) => drive.upgrade(),
                None => return,
            };
            if let Some(drive) = drive {
                f(&*drive);
            }
            i += 1;
        }
    }
}
