//! What a bot author writes: a [`Scenario`] makes players, a [`Bot`] is one.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::data::Row;
use crate::failure::{Failure, Kind, Result, kebab};
use crate::run::RunInfo;
use crate::weights::{Weights, WeightsError};

/// One player: a long-lived async function, not an iteration.
///
/// A bot never leaves the thread on which it was made, so it need not be `Send`. Its heap counts: see the budget in
/// the crate's documentation.
pub trait Bot: 'static {
    /// Plays, from joining to leaving. An error is counted by its kind, and the seat is filled again if the load
    /// shape asks for it.
    fn run(&mut self, cx: &crate::Cx) -> impl Future<Output = Result>;
}

/// Makes the players of a load test.
pub trait Scenario: Send + Sync + 'static {
    /// The player that it makes.
    type Bot: Bot;

    /// Makes the player of a seat.
    fn bot(&self, seat: Seat) -> Self::Bot;

    /// The name by which plans and the command line call it. By default the type's, in kebab case.
    fn name(&self) -> Cow<'static, str> {
        let name = std::any::type_name::<Self>();
        kebab(name.rsplit("::").next().unwrap_or(name)).into()
    }

    /// One line that says what it plays.
    fn about(&self) -> Cow<'static, str> {
        "".into()
    }

    /// The personas that its players take, by weight; [`Seat::persona`] tells which. By default one, without a name.
    ///
    /// # Errors
    /// Those of [`Weights::new`]; the run does not start.
    fn personas(&self) -> Result<Weights, WeightsError> {
        Ok(Weights::default())
    }

    /// How many sockets a player holds at most; with it the kit says before the start whether they fit.
    fn sockets_per_bot(&self) -> u32 {
        1
    }

    /// Runs once before the first player, for example to make a tournament or to check the target's version. In a fleet each
    /// worker runs it, before the common start, which waits for it up to three minutes.
    ///
    /// # Errors
    /// An error ends the run before it starts.
    fn setup(&self, run: &RunInfo) -> impl Future<Output = Result> {
        let _ = run;
        async { Ok(()) }
    }

    /// Runs once after the last player, also when the run failed.
    ///
    /// # Errors
    /// An error is reported; the figures stand.
    fn teardown(&self, run: &RunInfo) -> impl Future<Output = Result> {
        let _ = run;
        async { Ok(()) }
    }

    /// Runs once on each shard's thread, inside its runtime, before its first player. The place to start an
    /// in-process server for a simulation, with `tokio::task::spawn_local`.
    fn shard(&self, run: &RunInfo) {
        let _ = run;
    }
}

/// Which player this is: a place in the load shape that one player at a time fills.
///
/// The same seat has the same account, persona, party and random numbers on whichever shard it is.
#[derive(Clone)]
pub struct Seat {
    pub(crate) run: Arc<RunInfo>,
    pub(crate) index: u64,
    pub(crate) life: u32,
    pub(crate) persona: u32,
    pub(crate) network: u32,
}

impl Seat {
    /// The seat's number, from 0, unique in the whole run.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How often the seat had been filled before.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// The persona's name; empty if the scenario has none.
    pub fn persona(&self) -> &str {
        self.run.weights().name(self.persona as usize)
    }

    /// The number of its party. Seats of one party are neighbours, and always on one shard.
    pub fn party(&self) -> u64 {
        self.index / self.run.plan().party()
    }

    /// Its place in the party, from 0.
    pub fn party_place(&self) -> u64 {
        self.index % self.run.plan().party()
    }

    /// How many seats its party has. Only the last party of a plan can be smaller than `party` in the plan.
    pub fn party_size(&self) -> u64 {
        let size = self.run.plan().party();
        let party = self.twin_of().unwrap_or(self.index) / size;
        let first = party * size;
        size.min(self.run.plan().shape().seats().saturating_sub(first)).max(1)
    }

    /// The seat whose twin this is, if the player is there only because the load was dialled above the plan's
    /// ([`Control::dial`](crate::Control::dial)). Twins have seats after all others: accounts, persona and random numbers of
    /// their own. A twin for whose seat an accounts or data file has no row fails at once, and is not filled again.
    pub fn twin_of(&self) -> Option<u64> {
        self.index.checked_sub(self.run.plan().first_twin())
    }

    /// That each of the plan's files has a row for the seat: those of the plan do, those of twins may not.
    pub(crate) fn check_rows(&self) -> Result<(), Failure> {
        let rows = self.run.rows();
        if self.twin_of().is_none() || self.index < rows {
            return Ok(());
        }
        let why = format!(
            "the load was dialled above the plan's, and seat {} has no row: a file of accounts or data has {rows}; add rows \
             for twice the players, or dial lower",
            self.index
        );
        Err(Failure::new(Kind::NO_ROW, why))
    }

    /// The account: the column `account` of the plan's accounts file, else its first column, or a made-up name such
    /// as `bot-000042` when the plan has no accounts.
    pub fn account(&self) -> String {
        self.account_row()
            .and_then(|row| row.get("account").or_else(|| row.first()).map(str::to_owned))
            .unwrap_or_else(|| format!("bot-{:06}", self.index))
    }

    /// The seat's own row of the plan's accounts file.
    pub fn account_row(&self) -> Option<Row<'_>> {
        self.run.accounts()?.row(usize::try_from(self.index).ok()?)
    }

    /// The seat's own row of one of the plan's data files, by its name in the plan.
    pub fn row(&self, data: &str) -> Option<Row<'_>> {
        self.run.data(data)?.row(usize::try_from(self.index).ok()?)
    }

    /// What the whole run has in common.
    pub fn run(&self) -> &RunInfo {
        &self.run
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("index", &self.index).field("life", &self.life).finish_non_exhaustive()
    }
}
