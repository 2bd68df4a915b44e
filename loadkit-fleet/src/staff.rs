//! `(plan, request, what there is) -> Staffing`: how many workers, where, and who takes over from whom.

use std::collections::BTreeSet;
use std::time::Duration;

use loadkit_core::Plan;
use loadkit_worker::Terms;

use crate::fleet::ms;
use crate::launcher::Home;
use crate::request::{Long, RunRequest, RunnerChoice};

/// No run has more workers.
pub const MAX_WORKERS: u32 = 20_000;

/// What is usual for a home.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Players a worker.
    pub players: u32,
    /// From the request to the common start.
    pub lead: Duration,
    /// A worker that was started and has not claimed its lease by then is given up.
    pub patience: Duration,
    /// How long a worker lives at most; none if as long as it wants.
    pub life: Option<Duration>,
}

impl Usual {
    /// Of this home.
    pub fn of(home: Home) -> Usual {
        let secs = Duration::from_secs;
        match home {
            // A Lambda idles at 11 of its 1,024 descriptors; half of the rest is kept for bots with two sockets.
            Home::Lambda => Usual { players: 500, lead: secs(15), patience: secs(30), life: Some(secs(900)) },
            // 20 tasks a second after a burst of 100, and half a minute to a minute and a half for each.
            Home::Fargate => Usual { players: 5_000, lead: secs(90), patience: secs(180), life: None },
            Home::Local => Usual { players: 2_500, lead: secs(3), patience: secs(20), life: None },
        }
    }
}

/// A stretch of the run that a worker plays before the next one takes over, ms of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// From here.
    pub from_ms: u64,
    /// To here; none for the last.
    pub until_ms: Option<u64>,
}

/// How a run is staffed.
#[derive(Clone, Debug, PartialEq)]
pub struct Staffing {
    /// Where its workers are started.
    pub home: Home,
    /// Each hands its job on to one of these and ends.
    pub hand_over_to: Option<Home>,
    /// Why there, in words.
    pub why: String,
    /// How many workers.
    pub workers: u32,
    /// Who plays when: one for a run that no worker's life is too short for.
    pub generations: Vec<Generation>,
    /// What is usual where they play.
    pub usual: Usual,
}

impl Staffing {
    /// Where the players play in the end.
    pub fn plays_at(&self) -> Home {
        self.hand_over_to.unwrap_or(self.home)
    }
}

/// The most players at once that a plan may bring: its population, and of its arrivals those of a minute.
pub fn most_players(plan: &Plan) -> u64 {
    let shape = plan.shape();
    let minutes = (shape.duration().as_secs() / 60).max(1);
    shape.peak() + shape.arrivals().div_ceil(minutes)
}

/// Plans the workers of a run.
///
/// # Errors
/// What cannot be, in words that say what to do.
pub fn staff(
    plan: &Plan,
    request: &RunRequest,
    homes: &BTreeSet<Home>,
    usual: impl Fn(Home) -> Usual,
    terms: &Terms,
) -> Result<Staffing, String> {
    let whole = plan.duration() + plan.grace();
    let lambda_s = lambda_share(&usual(Home::Lambda), plan.grace(), terms).map(|share| share.as_secs());
    let fits_lambda = lambda_s.is_none_or(|share| whole.as_secs() <= share);
    let (home, why) = choose(request.runner, homes, fits_lambda, whole)?;
    let hand_over_to = (home == Home::Lambda && !fits_lambda && request.long == Long::Fargate).then_some(Home::Fargate);
    if hand_over_to.is_some() && !homes.contains(&Home::Fargate) {
        return Err("the run outlasts a Lambda and is to go on as Fargate tasks, and this fleet has no cluster for \
                    them: set `long` to \"relay\""
            .into());
    }
    let usual = usual(hand_over_to.unwrap_or(home));
    let players = most_players(plan);
    let each = request.players_per_worker.unwrap_or(usual.players);
    if each == 0 || request.workers == Some(0) {
        return Err("no players a worker, or no workers, play nothing: leave it out, or say at least 1".into());
    }
    // A party stays together, so it is not split over workers.
    let parties = players.div_ceil(plan.party()).max(1);
    let needed = players.div_ceil(u64::from(each)).clamp(1, parties);
    let workers = request.workers.map_or(needed, |workers| u64::from(workers).min(parties));
    let workers = u32::try_from(workers).ok().filter(|&workers| workers <= MAX_WORKERS).ok_or_else(|| {
        format!("{workers} workers are more than {MAX_WORKERS}: let each have more players (`players_per_worker`)")
    })?;
    let share = usual.life.and_then(|_| lambda_share(&usual, plan.grace(), terms));
    let generations = relay(plan.duration(), plan.grace(), share)?;
    Ok(Staffing { home, hand_over_to, why, workers, generations, usual })
}

fn choose(
    choice: RunnerChoice,
    homes: &BTreeSet<Home>,
    fits_lambda: bool,
    whole: Duration,
) -> Result<(Home, String), String> {
    let asked = match choice {
        RunnerChoice::Lambda => Some(Home::Lambda),
        RunnerChoice::Fargate => Some(Home::Fargate),
        RunnerChoice::Local => Some(Home::Local),
        RunnerChoice::Auto => None,
    };
    if let Some(home) = asked {
        let known: Vec<String> = homes.iter().map(ToString::to_string).collect();
        return match homes.contains(&home) {
            true => Ok((home, "as asked for".into())),
            false => Err(format!("this fleet starts no workers on {home}; it has: {}", known.join(", "))),
        };
    }
    let lasts = loadkit_core::format_duration(whole);
    let has = |home| homes.contains(&home);
    match (has(Home::Lambda), has(Home::Fargate), has(Home::Local)) {
        (true, _, _) if fits_lambda => Ok((Home::Lambda, format!("{lasts} fit into a Lambda, which starts soonest"))),
        (_, true, _) => Ok((Home::Fargate, format!("{lasts} outlast a Lambda, and a task costs less by the hour"))),
        (true, false, _) => {
            Ok((Home::Lambda, format!("{lasts} are relayed over Lambdas: there is no cluster for tasks")))
        }
        (false, false, true) => Ok((Home::Local, "this fleet starts workers on its own machine only".into())),
        (false, false, false) => Err("this fleet can start no workers at all: give it a client, or AWS".into()),
    }
}

/// How much of a run one Lambda can play: its life, less waiting for the start, leaving, and sending the rest.
fn lambda_share(usual: &Usual, grace: Duration, terms: &Terms) -> Option<Duration> {
    let handing_over = Duration::from_millis(terms.over_ms + terms.overlap_ms);
    let ending = grace.max(handing_over) + SENDING;
    usual.life.map(|life| life.saturating_sub(usual.lead * 2 + ending))
}

/// What a worker keeps of its life to send the last figures.
const SENDING: Duration = Duration::from_secs(20);

/// Splits a run into stretches that workers can play, each but the last as long as may be.
fn relay(duration: Duration, grace: Duration, share: Option<Duration>) -> Result<Vec<Generation>, String> {
    let whole = Generation { from_ms: 0, until_ms: None };
    let Some(share) = share.filter(|share| duration + grace > *share) else { return Ok(vec![whole]) };
    if share < Duration::from_secs(1) {
        return Err("a worker's life is too short for the plan's grace time: let players leave sooner (`grace`)".into());
    }
    let count = ms(duration).div_ceil(ms(share)).max(2);
    // All as long, to a second: nobody takes over for a moment.
    let each = ms(duration).div_ceil(count).next_multiple_of(1_000);
    let of = |n: u64| Generation { from_ms: n * each, until_ms: (n + 1 < count).then(|| (n + 1) * each) };
    Ok((0..count).map(of).filter(|one| one.from_ms < ms(duration)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(bots: u64, minutes: u64) -> Plan {
        Plan::builder().bots(bots).duration(Duration::from_secs(minutes * 60)).target("t:1").build().unwrap()
    }

    fn staffed(plan: &Plan, request: &RunRequest, homes: &[Home]) -> Result<Staffing, String> {
        staff(plan, request, &homes.iter().copied().collect(), Usual::of, &Terms::default())
    }

    const AWS: [Home; 2] = [Home::Lambda, Home::Fargate];

    #[test]
    fn short_runs_are_for_lambda_and_long_ones_for_fargate() {
        let request = RunRequest::default();
        let short = staffed(&plan(100_000, 10), &request, &AWS).unwrap();
        assert_eq!((short.home, short.workers, short.generations.len()), (Home::Lambda, 200, 1));
        let long = staffed(&plan(1_000_000, 60), &request, &AWS).unwrap();
        assert_eq!((long.home, long.workers, long.generations.len()), (Home::Fargate, 200, 1));
        assert!(long.why.contains("outlast"), "{}", long.why);
        let local = staffed(&plan(10, 60), &request, &[Home::Local]).unwrap();
        assert_eq!((local.home, local.workers), (Home::Local, 1));
        assert!(staffed(&plan(10, 60), &request, &[]).is_err());
    }

    #[test]
    fn a_relay_covers_the_run_without_gaps() {
        let request = RunRequest { runner: RunnerChoice::Lambda, ..RunRequest::default() };
        let staffing = staffed(&plan(1_000, 40), &request, &AWS).unwrap();
        let all = &staffing.generations;
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].from_ms, all[2].until_ms), (0, None));
        assert!(all.windows(2).all(|pair| pair[0].until_ms == Some(pair[1].from_ms)));
        assert!(all.iter().all(|one| one.until_ms.is_none_or(|until| until - one.from_ms < 870_000)));
    }

    #[test]
    fn the_flag_of_the_original_system_hands_over_to_fargate() {
        let request = RunRequest { runner: RunnerChoice::Lambda, long: Long::Fargate, ..RunRequest::default() };
        let staffing = staffed(&plan(1_000, 40), &request, &AWS).unwrap();
        assert_eq!((staffing.home, staffing.plays_at()), (Home::Lambda, Home::Fargate));
        assert_eq!(staffing.generations.len(), 1);
        assert!(staffed(&plan(1_000, 40), &request, &[Home::Lambda]).unwrap_err().contains("relay"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let none = RunRequest { workers: Some(0), ..RunRequest::default() };
        assert!(staffed(&plan(10, 1), &none, &AWS).is_err());
        let many = RunRequest { players_per_worker: Some(1), ..RunRequest::default() };
        assert!(staffed(&plan(1_000_000, 1), &many, &AWS).unwrap_err().contains("players_per_worker"));
        let few = RunRequest { workers: Some(50), ..RunRequest::default() };
        assert_eq!(staffed(&plan(10, 1), &few, &AWS).unwrap().workers, 10, "no worker without players");
    }
}
