//! Whether the figures can be believed: the load generator's own health, and whether anything happened at all.

use std::time::Duration;

use super::Conditions;
use crate::cx::{CONNECT, LONG_TURN};
use crate::engine::Stop;
use crate::failure::Kind;
use crate::metrics::{Totals, names};
use crate::protocols;
use crate::report::format;

/// Ticks may be so late in the 99th percentile. It is half the time between two ticks at 50 Hz, the fastest that
/// players of the games at hand send at: beyond it, a late tick may run into the next. A healthy shard shows 0.3 ms.
pub(crate) const MAX_TICK_LAG: Duration = Duration::from_millis(10);
/// Players may start so late in the 99th percentile: an interval of the default length, below which no figure of the
/// report would show it.
pub(crate) const MAX_START_LAG: Duration = Duration::from_secs(1);
/// Replies may wait so long for their bot's turn in the 99th percentile: one tick of a server at 20 Hz. Beyond it, our
/// own lag is of the size of what is measured.
pub(crate) const MAX_WAKE_LAG: Duration = Duration::from_millis(50);
/// With fewer samples, the 99th percentile is but the largest value.
const MIN_SAMPLES: u64 = 100;
/// The share of packets that the kernel may refuse: as much as a poor mobile network loses. Beyond it, the server gets
/// another load than the plan's.
pub(crate) const MAX_REFUSED_SHARE: f64 = 0.01;
/// Long turns of bots that take this share of the run are a cause of lateness: it is judged by one in a hundred.
const CAUSE_BLOCKED_SHARE: f64 = 0.005;
/// Where nothing was late, they are worth a word from this share on: it will be with more players.
const MUCH_BLOCKED_SHARE: f64 = 0.1;
/// So many cores in use by others are worth a word as a cause.
const MIN_OTHERS: f64 = 0.25;
/// So many cores kept from this machine are.
const MIN_STOLEN: f64 = 0.1;
/// The share of all cores in use at which there is no CPU left: what remains goes to the kernel's own work.
const SATURATED_SHARE: f64 = 0.95;

/// Adds what is wrong with the load generator, and what is only to be known.
pub(super) fn examine(totals: &Totals, conditions: &Conditions, reasons: &mut Vec<String>, warnings: &mut Vec<String>) {
    let lags = lags(totals);
    let late = !lags.is_empty();
    reasons.extend(lags);
    // Why it was late, if it was. Otherwise only what would be a cause soon.
    let to = if late { &mut *reasons } else { &mut *warnings };
    to.extend(saturated(totals, conditions.cores));
    to.extend(blocked(totals, if late { CAUSE_BLOCKED_SHARE } else { MUCH_BLOCKED_SHARE }));
    if late {
        reasons.extend(robbed(totals, conditions.cores));
    }
    reasons.extend(refused(totals));
    reasons.extend(dropped(totals));
    reasons.extend(exhausted(totals));
    let Conditions { shards_lost, snapshots_lost, .. } = *conditions;
    if shards_lost > 0 {
        let shards = format::counted(u64::from(shards_lost), "shard", "shards");
        reasons.push(format!(
            "{shards} of the load generator died: the players of those stopped in the middle of the run"
        ));
    }
    if snapshots_lost > 0 {
        let snapshots = format::counted(snapshots_lost, "snapshot", "snapshots");
        reasons.push(format!("{snapshots} of figures did not arrive: what they held is missing from the report"));
    }
    warn(totals, conditions, warnings);
}

fn lags(totals: &Totals) -> Vec<String> {
    let advice = "response times hold our own delay; run fewer players on this machine, or use more of it";
    let kinds = [
        (names::TICK_LAG, MIN_SAMPLES, MAX_TICK_LAG, "ticks began", "after their time"),
        (names::START_LAG, 1, MAX_START_LAG, "players started", "after their time"),
        (names::WAKE_LAG, MIN_SAMPLES, MAX_WAKE_LAG, "replies waited", "for their player's turn"),
    ];
    let mut found = Vec::new();
    for (name, least, limit, what, since) in kinds {
        let Some(lag) = totals.trends.get(name).filter(|lag| lag.values.count() >= least) else { continue };
        let p99 = Duration::from_micros(lag.values.quantile(0.99));
        if p99 > limit {
            let (p99, limit) = (format::time(p99), format::time(limit));
            found.push(format!(
                "the load generator was late: 1 % of {what} {p99} or more {since} (at most {limit} can be believed): {advice}"
            ));
        }
    }
    found
}

fn saturated(totals: &Totals, cores: u32) -> Option<String> {
    let used = totals.gauge(names::CPU)?.max;
    (cores > 0 && used >= SATURATED_SHARE * f64::from(cores)).then(|| {
        let cores = format::counted(u64::from(cores), "core", "cores");
        format!("the load generator had no CPU left: at its highest it used {} of {cores}", format::number(used))
    })
}

/// Bots that kept their shard from everything else.
fn blocked(totals: &Totals, least_share: f64) -> Option<String> {
    let turns = &totals.trends.get(names::LONG_TURNS)?.values;
    let share = turns.mean() * turns.count() as f64 / totals.to_us.max(1) as f64;
    (share >= least_share).then(|| {
        format!(
            "bots held up their shard: {} took longer than {}, the longest {}; what blocks or computes for long belongs \
             on a thread of its own (tokio's spawn_blocking)",
            format::counted(turns.count(), "turn", "turns"),
            format::time(LONG_TURN),
            format::time(Duration::from_micros(turns.max()))
        )
    })
}

/// What others took of this machine's CPU, and the host of the machine's.
fn robbed(totals: &Totals, cores: u32) -> Vec<String> {
    let most = |name| totals.gauge(name).map_or(0.0, |gauge| gauge.max);
    let (others, stolen) = (most(names::CPU_OTHERS), most(names::CPU_STOLEN));
    let of = format::counted(u64::from(cores), "core", "cores");
    let mut found = Vec::new();
    if others >= MIN_OTHERS {
        let used = format::number(others);
        found.push(format!(
            "other processes on this machine used up to {used} of {of}: give the load generator its own"
        ));
    }
    if stolen >= MIN_STOLEN {
        let taken = format::number(stolen);
        found.push(format!(
            "the host of this machine kept up to {taken} of {of} from it: take one with dedicated cores"
        ));
    }
    found
}

/// Datagrams that arrived at this machine and were thrown away, because nobody fetched them in time.
fn dropped(totals: &Totals) -> Option<String> {
    let (dropped, received) = (totals.count(names::KERNEL_DROPS), totals.count(names::PACKETS_RECEIVED));
    (dropped > 0 && dropped as f64 > MAX_REFUSED_SHARE * received as f64).then(|| {
        format!(
            "this machine's kernel threw away {} that had arrived ({} were received), because sockets were full: the \
             server's answers look lost; enlarge the receive buffers or run fewer players on this machine",
            format::counted(dropped, "datagram", "datagrams"),
            format::count(received)
        )
    })
}

fn refused(totals: &Totals) -> Option<String> {
    let (refused, sent) = (totals.count(names::SENDS_REFUSED), totals.count("net.packets_sent"));
    (refused > 0 && refused as f64 > MAX_REFUSED_SHARE * sent as f64).then(|| {
        format!(
            "this machine's kernel refused to send {} packets ({} were sent): the server got less load than planned; \
             enlarge the socket buffers or run fewer players on this machine",
            format::count(refused),
            format::count(sent)
        )
    })
}

fn warn(totals: &Totals, conditions: &Conditions, warnings: &mut Vec<String>) {
    if conditions.asked != Stop::No {
        let lasted = format::clock(Duration::from_micros(totals.to_us));
        let planned = format::clock(conditions.planned);
        warnings.push(format!(
            "the run was stopped: it lasted {lasted} ({planned} planned), and the figures are of a part of the plan"
        ));
    }
    if totals.cut_off > 0 {
        let players = format::counted(totals.cut_off, "player", "players");
        warnings.push(format!("{players} had not left when the grace time was over, and were cut off"));
    }
    let left_out = totals.count(names::NAMES_LEFT_OUT);
    if left_out > 0 {
        let records = format::counted(left_out, "record", "records");
        let names: Vec<String> = totals.left_out.iter().map(|name| format::name(name, 40)).collect();
        let names = if names.is_empty() { String::new() } else { format!(" ({}, …)", names.join(", ")) };
        warnings.push(format!(
            "{records} were left out: there are more metric names than the kit keeps{names}; use fewer names"
        ));
    }
    warnings.extend(protocols::difference(totals));
    let unverified = totals.count(names::TLS_UNVERIFIED);
    if unverified > 0 {
        let connections = format::counted(unverified, "connection was", "connections were");
        warnings.push(format!("{connections} made without verifying the server's certificate: it may be anybody's"));
    }
    if !conditions.sharp_timers {
        warnings.push(
            "there is no high-resolution timer here: ticks, and with them response times, are up to 1 ms late".into(),
        );
    }
    if let Some(error) = &conditions.teardown {
        warnings.push(format!("the scenario's teardown failed: {error}"));
    }
}

/// Why the figures say nothing about the server, if nothing happened.
pub(super) fn worthless(totals: &Totals) -> Option<String> {
    if totals.started == 0 {
        return Some("no player was started".to_owned());
    }
    // To have connected says nothing alone: a datagram's connection, or one to a dead service behind a live port, does
    // so without a word from the server. A handshake is a word.
    let was_silent = totals.count(names::PACKETS_RECEIVED) == 0;
    let tried_more =
        totals.cut_off > 0 || totals.whole_steps().any(|(name, step)| name != CONNECT && step.failed() > 0);
    if totals.whole_steps().any(|(name, step)| step.succeeded() > 0 && !(name == CONNECT && tried_more && was_silent)) {
        return None;
    }
    let players = format::counted(totals.started, "player", "players");
    let steps_failed: u64 = totals.whole_steps().map(|(_, step)| step.failed()).sum();
    match most_frequent_failure(totals) {
        None if totals.cut_off > 0 => Some(format!(
            "of {players}, none got a step done beyond connecting, and {} still waited when the time to leave was over: \
             does the server answer?",
            format::count(totals.cut_off)
        )),
        Some(failure) if steps_failed > 0 || totals.finished == 0 => Some(format!(
            "of {players} that tried, none got a single step done. {failure} Is the server running, and is this its address?"
        )),
        None if totals.finished == 0 && !anything_recorded(totals) => {
            Some(format!("{players} started, and none of them got a step done, failed or finished before the end"))
        }
        _ => None,
    }
}

/// What this machine did not have for its players: no fault of the server's.
fn exhausted(totals: &Totals) -> Option<String> {
    let of_steps = totals.whole_steps().flat_map(|(_, step)| &step.failures);
    let ours = |kind: &str| [Kind::DESCRIPTORS, Kind::SOURCE_PORTS].iter().any(|known| known.name() == kind);
    let (kind, n) = of_steps.filter(|(kind, _)| ours(kind)).max_by_key(|(_, n)| *n)?;
    let times = format::counted(*n, "time", "times");
    let advice = "the load generator's own limit; raise it, or play fewer";
    Some(format!("this machine had no {} left for a player ({times}): {advice}", kind.replace('-', " ")))
}

/// Whether bots recorded something of their own, steps aside.
fn anything_recorded(totals: &Totals) -> bool {
    let names = totals.trends.keys().chain(totals.counts.keys());
    names.into_iter().any(|name| !name.starts_with("loadkit."))
}

/// `Most often connect failed with timed-out (97 times): "no answer".`
fn most_frequent_failure(totals: &Totals) -> Option<String> {
    let of_steps = totals
        .whole_steps()
        .flat_map(|(name, step)| step.failures.iter().map(move |(kind, n)| (*n, name, kind.as_str())));
    let of_players = totals.failed.iter().map(|(kind, n)| (*n, "", kind.as_str()));
    let (n, step, kind) = of_steps.max().or_else(|| of_players.max())?;
    let sample = totals.samples.iter().find(|sample| sample.step == step && sample.kind == kind);
    let message = sample.map_or(".".to_owned(), |sample| format!(": \"{}\".", format::fit(&sample.message, 160)));
    let what = if step.is_empty() { "they" } else { step };
    let times = format::counted(n, "time", "times");
    Some(format!("Most often {what} failed with {kind} ({times}){message}"))
}
