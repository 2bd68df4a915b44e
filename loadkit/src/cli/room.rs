//! Whether the players' sockets fit into this process.

use loadkit_core::{Plan, Segment, Target, format};

use super::outcome::UseError;
use super::scenario::AnyScenario;
use crate::host::free_descriptors;

/// How many players' sockets fit into the process, and for how many descriptors that is; none if there is no limit.
pub(super) fn room(scenario: &dyn AnyScenario, plan: &Plan, target: &Target) -> Option<(u64, u64)> {
    if plan.sockets().is_some() || target.addrs().is_empty() {
        return None;
    }
    let free = free_descriptors()?;
    Some((free / u64::from(scenario.sockets_per_bot()).max(1), free))
}

/// Says before the start whether the sockets of this share of the players fit into the process.
pub(super) fn check(scenario: &dyn AnyScenario, plan: &Plan, target: &Target, share: Segment) -> Result<(), UseError> {
    let each = u64::from(scenario.sockets_per_bot());
    let peak = share.seat_count(plan.shape().peak(), plan.party());
    let Some((fit, free)) = room(scenario, plan, target).filter(|(fit, _)| peak > *fit) else { return Ok(()) };
    let fewer = if share == Segment::WHOLE {
        format!("play fewer with --bots {fit}")
    } else {
        format!("give the run more workers, of {} at most", format::counted(fit, "player", "players"))
    };
    Err(UseError::new(format!(
        "{} do not fit into this process: each needs {}, and {} are left, which is enough for {}.\n\
         Raise the limit (`ulimit -n {}`, or LimitNOFILE= of the service), {fewer}, or let them \
         share sockets with --sockets 1 if their protocol can (reliable UDP can).",
        format::counted(peak, "player", "players"),
        format::counted(each, "descriptor", "descriptors"),
        format::count(free),
        format::count(fit),
        peak * each + 1_000,
    )))
}
