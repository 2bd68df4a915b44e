//! What players did last, in whole runs in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do some of their bots")]

use std::sync::Arc;
use std::time::Duration;

use loadkit_core::flight::{CUT_OFF, Comparison, Flight, FlightEvent, MAX_FAILED, MAX_FINE, Parting};
use loadkit_core::*;
use rand::RngExt as _;

const SECOND: Duration = Duration::from_secs(1);

fn job(plan: Plan, shards: u32) -> Job {
    Job { shards, ..Job::whole(RunId(1), plan, Target::default(), Seed(7)) }
}

fn play<S: Scenario>(scenario: S, job: &Job) -> Result<Totals, RunError> {
    let mut collector = Collector::new(job.plan.interval());
    let host: Arc<dyn Host> = Arc::new(Virtual);
    run(&Arc::new(scenario), job, &host, &Control::new(), &mut collector)?;
    Ok(collector.totals().clone())
}

/// Makes players of a function that plays.
struct Of<F>(F);

struct Player<F>(F);

impl<F: AsyncFn(&Cx) -> Result + Clone + Send + Sync + 'static> Scenario for Of<F> {
    type Bot = Player<F>;

    fn bot(&self, _: Seat) -> Player<F> {
        Player(self.0.clone())
    }
}

impl<F: AsyncFn(&Cx) -> Result + 'static> Bot for Player<F> {
    async fn run(&mut self, cx: &Cx) -> Result {
        (self.0)(cx).await
    }
}

/// Works at 10 Hz by its own random numbers, and stumbles now and then, over one of a few things, for good.
async fn walk(cx: &Cx) -> Result {
    let mut ticks = cx.ticks(Hz(10.0)).take_for(20 * SECOND);
    while ticks.next().await.is_some() {
        let (work, luck) = (cx.rng().random_range(1..20), cx.rng().random_range(0..250));
        cx.step("work", async {
            cx.sleep(Duration::from_millis(work)).await;
            if luck < 5 {
                Err(Error::new(["stone", "root", "dog", "cat", "step"][luck], format!("luck {luck}")))
            } else {
                Ok(())
            }
        })
        .await?;
    }
    Ok(())
}

#[test]
fn failing_players_are_recorded_whichever_way_the_run_is_split() {
    let plan = || Plan::builder().bots(30).ramp(5 * SECOND).duration(25 * SECOND).build().unwrap();
    let whole = play(Of(walk), &job(plan(), 1)).unwrap();
    assert!(whole.failed() > 30 && whole.finished > 3, "{} {}", whole.failed(), whole.finished);
    let (failed, fine): (Vec<&Flight>, Vec<_>) = whole.flights.iter().partition(|flight| flight.failure.is_some());
    // Three of each of five kinds.
    assert_eq!((failed.len(), fine.len()), (15, MAX_FINE));
    for flight in failed {
        let ending = flight.failure.as_ref().unwrap();
        assert_eq!(ending.step, "work");
        let last = flight.events.last().unwrap();
        let FlightEvent::Done { failure: Some(why), at_us, .. } = last else { panic!("{last:?}") };
        assert_eq!((&why.kind, &why.message, *at_us), (&ending.kind, &ending.message, flight.ended_us));
        assert!(flight.events.len() == 64 || flight.events.len() < 64 && flight.left_out == 0, "{}", flight.left_out);
    }
    for shards in [2, 5] {
        let parts = play(Of(walk), &job(plan(), shards)).unwrap();
        assert_eq!(parts.flights, whole.flights, "{shards} shards");
    }
    let off = Plan::builder().bots(30).duration(5 * SECOND).flight(0).build().unwrap();
    let off = play(Of(walk), &job(off, 2)).unwrap();
    assert_eq!((off.flights.len(), off.count(names::FLIGHTS_LEFT_OUT)), (0, 0));
}

#[test]
fn a_player_played_alone_does_what_it_did() {
    let plan = Plan::builder().bots(30).ramp(5 * SECOND).duration(25 * SECOND).build().unwrap();
    let whole = play(Of(walk), &job(plan.clone(), 2)).unwrap();
    for recorded in &whole.flights {
        let leaves = Duration::from_micros(recorded.asked_us.unwrap_or(u64::MAX) - recorded.began_us).min(40 * SECOND);
        let only = Only { seat: recorded.seat, life: recorded.life, leaves };
        let alone = play(Of(walk), &job(plan.clone(), 2).only(only)).unwrap();
        assert_eq!((alone.started, alone.flights.len()), (1, 1));
        let comparison = Comparison::new(recorded, &alone.flights[0]);
        assert!(comparison.ends_alike());
        assert_eq!(comparison.first(Parting::Contents), None);
        assert_eq!(comparison.before as u64, recorded.left_out);
    }
    let only = Only { seat: 60, life: 0, leaves: SECOND };
    let error = play(Of(walk), &job(plan, 1).only(only)).unwrap_err();
    assert_eq!(error.to_string(), "the plan has no seat 60: its 30 are numbered from 0");
}

#[test]
fn a_party_is_played_again_together() {
    let together = async |cx: &Cx| -> Result {
        cx.rendezvous("ready", 5 * SECOND).await?;
        cx.sleep(SECOND * (1 + cx.seat().party_place() as u32)).await;
        cx.step("fight", async { Err::<(), _>(Error::new("lost", "to the dragon")) }).await
    };
    let plan = Plan::builder().bots(12).party(4).duration(20 * SECOND).build().unwrap();
    let only = Only { seat: 6, life: 0, leaves: 20 * SECOND };
    let alone = play(Of(together), &job(plan, 1).only(only)).unwrap();
    // The others go when it has gone, and only its own flight counts.
    assert_eq!(alone.started, 4);
    let seats: Vec<u64> = alone.flights.iter().map(|flight| flight.seat).collect();
    assert_eq!(seats, [6]);
    assert_eq!(alone.flights[0].failure.as_ref().unwrap().step, "fight");
    assert_eq!(alone.flights[0].ended_us, 3_000_000);
}

#[test]
fn more_players_than_there_is_room_for_are_counted() {
    let fails = async |_: &Cx| Err(Error::new("tired", "at once"));
    // 4,096 events are 256 KiB, and so eight of them fill 2 MiB.
    let plan = Plan::builder().bots(100).duration(SECOND).refill(None).flight(4_096).build().unwrap();
    let totals = play(Of(fails), &job(plan, 1)).unwrap();
    assert_eq!(totals.failed(), 100);
    assert_eq!(totals.count(names::FLIGHTS_LEFT_OUT), 92, "every thirteenth of a hundred has room");
    assert!(totals.flights.iter().all(|flight| flight.seat % 13 == 0));
    // Of one kind there are three, of many no more than the bound.
    assert_eq!(totals.flights.len(), 3);
    let kinds = async |cx: &Cx| {
        const KINDS: [&str; 30] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
            "v", "w", "x", "y", "z", "aa", "bb", "cc", "dd",
        ];
        cx.sleep(Duration::from_millis(cx.seat().index())).await;
        Err(Error::new(KINDS[cx.seat().index() as usize % 30], "so"))
    };
    let plan = Plan::builder().bots(300).duration(5 * SECOND).refill(None).build().unwrap();
    let totals = play(Of(kinds), &job(plan, 1)).unwrap();
    let seats: Vec<u64> = totals.flights.iter().map(|flight| flight.seat).collect();
    assert_eq!(seats, (0..MAX_FAILED as u64).collect::<Vec<_>>(), "the first of each kind, the earliest kinds");
}

#[test]
fn who_panics_and_who_does_not_leave_is_recorded_too() {
    let odd = async |cx: &Cx| {
        let begun = cx.step("stay", async {
            if cx.seat().index() == 1 {
                panic!("out of cheese");
            }
            std::future::pending::<Result>().await
        });
        begun.await
    };
    let plan = Plan::builder().bots(2).duration(3 * SECOND).grace(SECOND).refill(None).build().unwrap();
    let mut flights = play(Of(odd), &job(plan, 1)).unwrap().flights;
    flights.sort_by_key(|flight| flight.seat);
    let [stuck, panicked] = &flights[..] else { panic!("{flights:?}") };
    let (stuck_by, panicked_by) = (stuck.failure.as_ref().unwrap(), panicked.failure.as_ref().unwrap());
    assert_eq!((stuck_by.kind.as_str(), stuck.asked_us, stuck.ended_us), (CUT_OFF, Some(3_000_000), 4_000_000));
    assert!(panicked_by.kind == "panic" && panicked_by.message.contains("out of cheese"), "{panicked_by:?}");
    // What was begun and not done stands there as it was.
    for flight in [stuck, panicked] {
        assert!(matches!(&flight.events[..], [FlightEvent::Begun { step, .. }] if step == "stay"), "{flight:?}");
    }
}
