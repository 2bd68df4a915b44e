//! A day of a thousand workers, simulated, that then goes on in real time before whoever looks.
//!
//! Workers tell of half minutes until the day is over, because a chart of it has no narrower points than a minute and 86 million
//! seconds of workers would take an hour to make; then of seconds, as live pages show them. Nor may it be wider: whoever has not
//! told of anything for forty seconds is silent to the collation, and read at the end only. All else is real: launch, leases,
//! keeper, collector, collation, rollups and report. The day is made in memory, and goes on in a store file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use loadkit::core::RunId;
use loadkit_fleet::{EmbeddedStore, Fleet, Home, Kept, RunRecord, RunRequest, Settings, keep};
use loadkit_tests::fleet::{Fault, Game, Making, Script, Style, World, plan};
use loadkit_worker::{Clock, Store, SystemClock, keys};

/// Workers of the run.
pub(super) const WORKERS: u32 = 1_000;
const PLAYERS: u64 = 100_000;
/// It has played so long when it goes on in real time.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Seconds are told so long before that.
const SECONDS: Duration = Duration::from_secs(240);
/// What they tell of at once until then.
const WIDE: Duration = Duration::from_secs(30);
/// The keeper looks so often: several times in the forty seconds after which who tells nothing is silent.
const PASS: Duration = Duration::from_secs(8);
/// It puts aside what it has so often until then: more often it is half of the time that the day takes to be made.
const CHECKPOINT: Duration = Duration::from_secs(600);
/// Parcels that have been collated so long ago are forgotten: the store is in memory.
const KEPT_SLOTS: u32 = 90;

/// A day that goes on.
pub(super) struct Day {
    /// The fleet, by a clock that goes on in real time.
    pub(super) fleet: Fleet,
    pub(super) run: RunId,
    pub(super) game: Arc<Game>,
    /// How long it took to make.
    pub(super) made: Duration,
}

/// A clock that showed this then.
#[derive(Debug)]
struct Since(Duration, Instant);

impl Clock for Since {
    fn now(&self) -> Duration {
        self.0 + self.1.elapsed()
    }
}

/// Makes the day, hands it on, and plays on until it is stopped. The record of the run, or why there is none.
pub(super) fn play(dir: PathBuf, ready: &Sender<Day>) -> Result<RunRecord, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(day(dir, ready))
}

/// Who is lost, and when: they come back as another attempt.
fn script() -> Script {
    let at = |hours: f64| Duration::from_secs_f64(hours * 3_600.0);
    Script::from([
        ((17, 0), Fault::Killed(at(3.2))),
        ((251, 0), Fault::Killed(at(9.5))),
        ((400, 0), Fault::Mute(at(12.1))),
        ((611, 0), Fault::Killed(at(17.7))),
        ((612, 0), Fault::Killed(at(17.7))),
        ((999, 0), Fault::CutShort(at(21.0))),
    ])
}

async fn day(dir: PathBuf, ready: &Sender<Day>) -> Result<RunRecord, String> {
    let (began, game) = (Instant::now(), Arc::new(Game::default()));
    let world = World::new(Making {
        home: Home::Fargate,
        script: script(),
        style: Style { coarse: Some((WIDE, DAY - SECONDS)), game: Some(game.clone()) },
        // It ends about now.
        epoch: SystemClock.now().saturating_sub(DAY),
        settings: |settings| {
            settings.pass = PASS;
            settings.checkpoint = CHECKPOINT;
            settings.terms.beat_ms = 5_000;
            // Who tells of half minutes is heard twice a minute.
            settings.terms.lease_ms = 200_000;
        },
        ..Making::default()
    });
    // It is stopped before its end.
    let plan = plan(PLAYERS, DAY + Duration::from_secs(3_600));
    let run = world.launch(RunRequest { plan, workers: Some(WORKERS), ..RunRequest::default() }).await;
    tokio::spawn(forget(world.store.clone(), run, world.clock, world.fleet.clone()));
    let words = |error: loadkit_fleet::FleetError| error.to_string();
    keep(&world.fleet, run, Duration::from_secs(600)).await.map_err(words)?;
    let start_at_ms = world.fleet.show(run).await.map_err(words)?.start_at_ms;
    for (hours, text) in
        [(2, "matchmaker 2.31.1 deployed"), (9, "store sale begins"), (18, "matchmaker 2.31.2 deployed")]
    {
        world.fleet.mark(run, Some(start_at_ms + hours * 3_600_000), text, "ci").await.map_err(words)?;
    }
    let rest = Duration::from_millis(start_at_ms).saturating_add(DAY).saturating_sub(world.clock.now());
    keep(&world.fleet, run, rest).await.map_err(words)?;
    let file = EmbeddedStore::open(&dir).await.map_err(|error| error.to_string())?;
    world.store.move_to(Arc::new(file)).await.map_err(|error| error.to_string())?;
    // From here on in real time.
    tokio::time::resume();
    let clock = Arc::new(Since(world.clock.now(), Instant::now()));
    let handed = Day { fleet: world.again(clock, |_| {}), run, game, made: began.elapsed() };
    ready.send(handed).map_err(|error| error.to_string())?;
    let fleet = world.again(Arc::new(world.clock), |settings| {
        let usual = Settings::new(settings.line.clone());
        (settings.pass, settings.checkpoint) = (usual.pass, usual.checkpoint);
    });
    loop {
        match keep(&fleet, run, Duration::from_secs(3_600)).await.map_err(words)? {
            Kept::Ended(record) => return Ok(*record),
            Kept::NotMine | Kept::OutOfTime => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Forgets parcels that have long been collated.
async fn forget(store: Arc<dyn Store>, run: RunId, clock: impl Clock, fleet: Fleet) {
    loop {
        tokio::time::sleep(WIDE * 20).await;
        let Ok(record) = fleet.show(run).await else { continue };
        let slot = u32::try_from(clock.now_ms().saturating_sub(record.start_at_ms) / 10_000).unwrap_or(0);
        let until = keys::slot(slot.saturating_sub(KEPT_SLOTS));
        for part in 0..keys::parts(WORKERS) {
            let part = keys::parcel_part(run, part);
            while let Ok(page) = store.list(&part, "", None, 500).await {
                let read = page.items.len();
                let over: Vec<_> = page.items.into_iter().map(|item| item.key).filter(|key| key.sort < until).collect();
                let is_last = over.len() < read || read == 0;
                if store.delete_all(over).await.is_err() || is_last {
                    break;
                }
            }
        }
    }
}
