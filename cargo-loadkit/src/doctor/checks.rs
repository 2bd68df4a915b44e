//! The checks: each from the machine to what was found, with the line that mends it.

use loadkit_core::format;

use super::machine::Machine;
use super::{Finding, State};
use crate::settings::Settings;

/// Descriptors of the kit's own.
const OWN_DESCRIPTORS: u64 = 64;
/// What a kernel's buffer of a shared socket should be able to hold.
const BUFFER: u64 = 8 << 20;
/// What a player takes with its socket, bytes: a generous estimate (an idle one takes a tenth of it).
const PER_PLAYER: u64 = 32 << 10;
/// CPU time that a host may keep from a machine, of all: beyond it, ticks come late.
const MAX_STEAL: f64 = 0.01;

/// What the machine is wanted for.
#[derive(Clone, Debug, Default)]
pub(super) struct Need {
    pub(super) bots: u64,
    /// Players of all workers, and how many workers, where somebody says so.
    pub(super) players: u64,
    pub(super) workers: Option<u64>,
    /// The fleet is asked with AWS credentials, or workers are started with them.
    pub(super) credentials: bool,
    pub(super) token: bool,
    pub(super) fleet: Option<String>,
    pub(super) region: Option<String>,
    pub(super) runner: Option<String>,
}

impl Need {
    pub(super) fn of(settings: &Settings, bots: u64, players: u64) -> Need {
        let fleet = settings.text("fleet").map(str::to_owned);
        let token = settings.text("token").is_some();
        let in_cloud = matches!(settings.text("runner"), Some("lambda" | "fargate"));
        Need {
            bots,
            players,
            workers: settings.whole("workers"),
            credentials: (fleet.is_some() && !token) || in_cloud,
            token,
            fleet,
            region: settings.text("region").map(str::to_owned),
            runner: settings.text("runner").map(str::to_owned),
        }
    }

    /// Whether players may be in this home, as far as anybody says.
    pub(super) fn may_play_on(&self, home: &str) -> bool {
        self.runner.as_deref().is_none_or(|runner| runner == "auto" || runner == home)
    }
}

pub(super) fn finding(
    name: &'static str,
    state: State,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    let remedy = remedy.into();
    Finding {
        name,
        state,
        found: found.into(),
        remedy: (state >= State::Warning && !remedy.is_empty()).then_some(remedy),
    }
}

pub(super) fn unknown(name: &'static str, why: &str) -> Finding {
    finding(name, State::Unknown, why, "")
}

/// All checks of the machine itself.
pub(super) fn all(machine: &Machine, need: &Need) -> Vec<Finding> {
    vec![
        descriptors(machine, need),
        ports(machine, need),
        buffers(machine),
        connections(machine, need),
        memory(machine, need),
        cores(machine),
        governor(machine),
        steal(machine),
        others(machine),
        clock(machine),
        time(machine),
    ]
}

fn descriptors(machine: &Machine, need: &Need) -> Finding {
    // A client raises its own limit as far as it may.
    let Some((_, hard)) = machine.descriptors else { return unknown("descriptors", "the limit is not told") };
    let needed = need.bots + OWN_DESCRIPTORS;
    let found = format!("{} of {} needed, a socket a player", format::count(hard), format::count(needed));
    let state = if hard < needed { State::Fault } else { State::Ok };
    finding(
        "descriptors",
        state,
        found,
        format!("ulimit -Hn {needed}, as root; or let players share sockets: --sockets 1"),
    )
}

fn ports(machine: &Machine, need: &Need) -> Finding {
    let range = (machine.file)("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range
        .as_deref()
        .map(|text| text.split_whitespace().filter_map(|port| port.parse::<u64>().ok()).collect::<Vec<_>>());
    let Some([first, last]) = range.as_deref() else { return unknown("ports", "the range is not told") };
    let ports = (last + 1).saturating_sub(*first);
    let found = format!("{} from {first} to {last}, one a player for each address", format::count(ports));
    let state = if ports < need.bots { State::Fault } else { State::Ok };
    let remedy = if need.bots < 64_000 {
        "sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"".to_owned()
    } else {
        let addresses = need.bots.div_ceil(60_000);
        format!("play from {addresses} addresses, --sources; or let players share sockets: --sockets 1")
    };
    finding("ports", state, found, remedy)
}

fn buffers(machine: &Machine) -> Finding {
    let [receive, send] = ["rmem_max", "wmem_max"].map(|name| machine.number(&format!("/proc/sys/net/core/{name}")));
    let (Some(receive), Some(send)) = (receive, send) else { return unknown("buffers", "their limits are not told") };
    let found =
        format!("UDP sockets hold {} in and {} out at most", format::bytes(receive as f64), format::bytes(send as f64));
    let state = if receive.min(send) < BUFFER { State::Warning } else { State::Ok };
    finding("buffers", state, found, format!("sudo sysctl -w net.core.rmem_max={BUFFER} net.core.wmem_max={BUFFER}"))
}

/// A firewall that follows connections has a table of them.
fn connections(machine: &Machine, need: &Need) -> Finding {
    let Some(most) = machine.number("/proc/sys/net/netfilter/nf_conntrack_max") else {
        return finding("conntrack", State::Ok, "no table of connections", "");
    };
    let used = machine.number("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or(0);
    let found = format!("{} of {} entries in use", format::count(used), format::count(most));
    let state = if used + need.bots > most { State::Fault } else { State::Ok };
    finding(
        "conntrack",
        state,
        found,
        format!("sudo sysctl -w net.netfilter.nf_conntrack_max={}", 2 * (used + need.bots)),
    )
}

fn memory(machine: &Machine, need: &Need) -> Finding {
    let text = (machine.file)("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let Some(available) = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()) else {
        return unknown("memory", "what is free is not told");
    };
    let own = (machine.file)("/sys/fs/cgroup/memory.max").and_then(|most| most.parse::<u64>().ok());
    let (free, needed) = ((available << 10).min(own.unwrap_or(u64::MAX)), need.bots * PER_PLAYER);
    let found =
        format!("{} free, {} for the players at most", format::bytes(free as f64), format::bytes(needed as f64));
    let state = if free < needed { State::Warning } else { State::Ok };
    finding("memory", state, found, "play fewer players here, or on more machines: cargo loadkit launch")
}

/// Cores, and the container's share of them.
fn cores(machine: &Machine) -> Finding {
    let quota = (machine.file)("/sys/fs/cgroup/cpu.max").and_then(|text| {
        let (quota, period) = text.split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let cores = format::counted(machine.cores, "core", "cores");
    match quota {
        Some(quota) if quota < machine.cores as f64 => finding(
            "cores",
            State::Warning,
            format!("{cores}, of which the container may use {}: it is stopped in between", format::number(quota)),
            format!("give it whole cores, or play on fewer threads: --shards {}", (quota as u64).max(1)),
        ),
        _ => finding("cores", State::Ok, cores, ""),
    }
}

fn governor(machine: &Machine) -> Finding {
    let Some(governor) = (machine.file)("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") else {
        return unknown("governor", "the CPU's clock is the host's affair");
    };
    let state = if governor == "performance" { State::Ok } else { State::Warning };
    finding(
        "governor",
        state,
        format!("{governor:?}: a CPU that sleeps wakes late"),
        "sudo cpupower frequency-set --governor performance",
    )
}

/// Since the machine began: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
fn steal(machine: &Machine) -> Finding {
    let text = (machine.file)("/proc/stat").unwrap_or_default();
    let first = text.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let times: Vec<u64> =
        first.into_iter().flat_map(str::split_whitespace).map_while(|time| time.parse().ok()).take(8).collect();
    let all: u64 = times.iter().sum();
    let Some(stolen) = times.get(7).filter(|_| all > 0) else { return unknown("steal", "it is not told") };
    let share = *stolen as f64 / all as f64;
    let found = format!("the host has kept {} of the CPU from this machine since it began", format::share(share));
    let state = if share > MAX_STEAL { State::Warning } else { State::Ok };
    finding("steal", state, found, "take a machine with dedicated cores")
}

fn others(machine: &Machine) -> Finding {
    let load = (machine.file)("/proc/loadavg").and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let Some(load) = load else { return unknown("load", "it is not told") };
    let found = format!("{} processes want {}", format::number(load), format::counted(machine.cores, "core", "cores"));
    let state = if load > 0.5 * machine.cores as f64 { State::Warning } else { State::Ok };
    finding("load", state, found, "end what else runs here: top shows it")
}

/// Reading the time must be cheap, and fine.
fn clock(machine: &Machine) -> Finding {
    let source = (machine.file)("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let fine = machine.clock_ns.is_none_or(|ns| ns <= 1_000);
    let Some(source) = source else { return unknown("clock", "its source is not told") };
    let is_cheap = matches!(source.as_str(), "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page");
    let state = if is_cheap && fine { State::Ok } else { State::Warning };
    let found = format!("{source}, {} ns fine", machine.clock_ns.map_or("?".to_owned(), format::count));
    finding("clock", state, found, "start the kernel with clocksource=tsc, or take another type of machine")
}

/// Workers start together by the fleet's clock, and correct for their own; reports and signatures tell the time.
fn time(machine: &Machine) -> Finding {
    match (machine.says)(&["timedatectl", "show", "--property=NTPSynchronized", "--value"]).as_deref() {
        Some("yes") => finding("time", State::Ok, "kept by NTP", ""),
        Some("no") => finding("time", State::Warning, "not kept by NTP", "sudo timedatectl set-ntp true"),
        _ => unknown("time", "nobody here tells whether NTP keeps it"),
    }
}

/// RFC 3339 in UTC, `2026-03-01T14:05:09Z`, as seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (day, time) = text.split_once('T')?;
    let numbers =
        |text: &str, by: char| text.split(by).map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<u64>>>();
    let (day, time) = (numbers(day, '-')?, numbers(time.get(..8)?, ':')?);
    let ([year, month, day], [hour, minute, second]) =
        (day.get(..3)?.try_into().ok()?, time.get(..3)?.try_into().ok()?);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`, for years after 1970.
    let [year, month, day, hour, minute, second]: [u64; 6] = [year, month, day, hour, minute, second];
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let (era, month_from_march) = (y / 400, (month + 9) % 12);
    let year_of_era = y - era * 400;
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month_from_march + 2) / 5 + day - 1;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
