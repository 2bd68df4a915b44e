//! `replay FLIGHT`: plays the player of a recorded flight again, alone, and shows where it goes another way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core::flight::{Artifact, Comparison, Flight, FlightRun, plain, render, render_comparison};
use loadkit_core::{Control, Failure, Host, Job, MetricSink, Only, Overrides, Plan, RunError, Snapshot, Stop};

use super::args::ReplayArgs;
use super::outcome::UseError;
use super::scenario::AnyScenario;
use super::{Client, say, signals, target};
use crate::host::Os;

/// It ended as it had.
const REPRODUCED: u8 = 0;
/// It ended in another way.
const DIFFERS: u8 = 1;
/// How much longer than the recorded one a life may last, at least: a time-out comes a little later each time.
const PATIENCE: Duration = Duration::from_secs(2);

impl Client {
    /// Plays the player of a recorded flight again.
    pub(super) fn replay(&self, args: &ReplayArgs) -> Result<u8, UseError> {
        let shown = args.flight.display();
        let unusable = |why: &dyn fmt::Display| UseError::new(format_args!("{shown} cannot be replayed: {why}"));
        let artifact = Artifact::load(&args.flight).map_err(|error| unusable(&error))?;
        if args.show {
            say::result(render(&artifact)).map_err(|error| UseError::unprinted(&error))?;
            return Ok(0);
        }
        let Artifact { run, flight: recorded, .. } = &artifact;
        let scenario = self.find(Some(&run.scenario)).map_err(|error| unusable(&error))?;
        let job = job_of(run, recorded, args).map_err(|error| unusable(&error))?;
        check(scenario, &job, recorded).map_err(|error| unusable(&error))?;
        say::aside(format_args!(
            "seat {} of {} plays again against {}, for at most {} s",
            recorded.seat,
            plain(&run.scenario),
            plain(job.target.name()),
            (job.only.map_or(Duration::ZERO, |only| only.leaves) + job.plan.grace()).as_secs(),
        ));
        let (replayed, asked) = play(scenario, &job, recorded)?;
        let Some(replayed) = replayed else {
            return Err(UseError::invalid("the player's thread died, so there is nothing to compare"));
        };
        let comparison = Comparison::new(recorded, &replayed);
        let text = render_comparison(run, job.target.name(), &comparison, args.all);
        say::result(text).map_err(|error| UseError::unprinted(&error))?;
        if asked > Stop::No {
            return Err(UseError::invalid("the replay was stopped, so that its end says nothing"));
        }
        Ok(if comparison.ends_alike() { REPRODUCED } else { DIFFERS })
    }
}

/// The run of this one player.
fn job_of(run: &FlightRun, recorded: &Flight, args: &ReplayArgs) -> Result<Job, UseError> {
    let plan: Plan = run.plan().map_err(UseError::new)?;
    let sources = args.sources.clone();
    let plan = plan.with(Overrides { sources, ..Overrides::default() }).map_err(UseError::new)?;
    let target = target::resolve(args.target.as_deref().unwrap_or(&run.target))?;
    let target = if args.insecure { target.unverified() } else { target };
    let (id, seed) = (run.run_id().map_err(UseError::new)?, run.seed().map_err(UseError::new)?);
    let only = Only { seat: recorded.seat, life: recorded.life, leaves: leaves(recorded) };
    Ok(Job::whole(id, plan, target, seed).only(only))
}

/// When the player is asked to leave: as it was in the recording, or else when it has lasted clearly longer.
fn leaves(recorded: &Flight) -> Duration {
    let since_began = |at: u64| Duration::from_micros(at.saturating_sub(recorded.began_us));
    let lasted = since_began(recorded.ended_us);
    recorded.asked_us.map_or_else(|| lasted + (lasted / 4).max(PATIENCE), since_began)
}

/// Whether the seat is still the player that it was.
fn check(scenario: &dyn AnyScenario, job: &Job, recorded: &Flight) -> Result<(), UseError> {
    let plan = &job.plan;
    let seats = plan.shape().seats();
    if !plan.has_seat(recorded.seat) {
        return Err(UseError::new(RunError::Seat { seat: recorded.seat, seats }));
    }
    let personas = scenario.personas().map_err(UseError::new)?;
    let personas = personas.with(plan.personas().collect()).map_err(UseError::new)?;
    let persona = personas.name(personas.pick(job.seed, recorded.seat / plan.party()));
    let network = plan.networks().and_then(|networks| networks.get(networks.pick(job.seed, recorded.seat)));
    let network = network.map_or("", |profile| profile.name());
    for (what, was, is) in [("persona", recorded.persona.as_str(), persona), ("network", &recorded.network, network)] {
        if was != is {
            let none = |name: &str| if name.is_empty() { "none".to_owned() } else { format!("{:?}", plain(name)) };
            return Err(UseError::new(format_args!(
                "seat {} is another player now: its {what} was {}, and by this client, the seed and the plan in the file \
                 it is {}. Use the client and the file as they were",
                recorded.seat,
                none(was),
                none(is),
            )));
        }
    }
    Ok(())
}

/// Plays; the player's flight, if it ended or was cut off, and how far the user has asked for an end.
fn play(scenario: &dyn AnyScenario, job: &Job, recorded: &Flight) -> Result<(Option<Flight>, Stop), UseError> {
    let control = Control::new();
    signals::obey(&control);
    let host: Arc<dyn Host> = Arc::new(Os);
    let mut landing = Landing { seat: recorded.seat, flight: None };
    scenario.run(job, &host, &control, &mut landing).map_err(|error| match error {
        RunError::Setup(_) | RunError::System(_) => UseError::invalid(error),
        _ => UseError::new(error),
    })?;
    Ok((landing.flight, control.asked()))
}

/// Waits for the flight of one seat.
struct Landing {
    seat: u64,
    flight: Option<Flight>,
}

#[async_trait]
impl MetricSink for Landing {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let mine = snapshot.flights.iter().find(|flight| flight.seat == self.seat);
        self.flight = self.flight.take().or_else(|| mine.cloned());
        Ok(())
    }
}
