//! The names under which the engine measures itself. They are ordinary metrics, so they merge, show and can be
//! limited like any other; the prefix `loadkit.` is kept for them, and `net.` for connections.

use crate::split::is_whole;

/// Trend, µs: how late a tick began for which its bot was already waiting. All of it is the kit's lag.
pub const TICK_LAG: &str = "loadkit.tick_lag";
/// Trend, µs: from the kernel's time of arrival of a reply to its bot's turn. All of it is the kit's lag.
pub const WAKE_LAG: &str = "loadkit.wake_lag";
/// Trend, µs: how late players started against the load shape.
pub const START_LAG: &str = "loadkit.start_lag";
/// Trend, µs: how much later than its network would have brought it to the server a datagram left this machine. All of it
/// is the kit's lag.
pub const SEND_LAG: &str = "loadkit.send_lag";
/// Count: players started over a network, of runs that have any. Its name stands behind, as in
/// `loadkit.players{network=lte}`.
pub const PLAYERS: &str = "loadkit.players";
/// Count: players who left because another worker took their seat over, in a relay of workers. Its players are counted as
/// started again.
pub const HANDED_OVER: &str = "loadkit.handed_over";
/// Count: ticks begun.
pub const TICKS: &str = "loadkit.ticks";
/// Count: ticks begun late because the bot was still busy with the one before.
pub const TICKS_BEHIND: &str = "loadkit.ticks_behind";
/// Count: ticks left out by a bot that skips what it missed.
pub const TICKS_SKIPPED: &str = "loadkit.ticks_skipped";
/// Count: snapshots whose interval was joined to the next because the collector was behind.
pub const SNAPSHOTS_DEFERRED: &str = "loadkit.snapshots_deferred";
/// Count: records left out because a name was new and the table of names full.
pub const NAMES_LEFT_OUT: &str = "loadkit.names_left_out";
/// Count: players whose flight was not recorded, because there was no room for it on their shard.
pub const FLIGHTS_LEFT_OUT: &str = "loadkit.flights_left_out";
/// Count: datagrams or frames that arrived.
pub const PACKETS_RECEIVED: &str = "net.packets_received";
/// Count: datagrams that the kernel refused to send.
pub const SENDS_REFUSED: &str = "net.sends_refused";
/// Count: connections under TLS whose server's certificate was not verified, because the run or the bot said so.
pub const TLS_UNVERIFIED: &str = "net.tls_unverified";
/// Gauge: CPU cores in use by this process.
pub const CPU: &str = "loadkit.cpu_cores";
/// Gauge: CPU cores in use by other processes of this machine.
pub const CPU_OTHERS: &str = "loadkit.cpu_others";
/// Gauge: CPU cores that the host kept from this virtual machine though it had work for them.
pub const CPU_STOLEN: &str = "loadkit.cpu_stolen";
/// Trend, µs: turns of bots that took longer than 10 ms, in which nobody else on their shard had one.
pub const LONG_TURNS: &str = "loadkit.long_turns";
/// Count: datagrams for any process of this machine that the kernel threw away, because their socket was full.
pub const KERNEL_DROPS: &str = "loadkit.kernel_drops";
/// Gauge: open descriptors of this process.
pub const DESCRIPTORS: &str = "loadkit.descriptors";
/// Gauge: resident memory of this process, without pages of files, bytes.
pub const MEMORY: &str = "loadkit.memory";
/// Gauge: where the dial of the run's control stands, from the first time on that it is not 1.
pub const DIAL: &str = "loadkit.dial";
/// Count: shards without a sharp timer; their ticks and response times can be up to 1 ms late by the kit's own fault.
pub const COARSE_TIMERS: &str = "loadkit.coarse_timers";
/// Count: log-ins at a server that told another protocol than the client has.
pub const PROTOCOL_DIFFERS: &str = "loadkit.protocol_differs";

/// Whether a figure is one of the kit's own, of itself or of its connections, and not a part of one.
pub(crate) fn is_kits_own(name: &str) -> bool {
    (name.starts_with("loadkit.") || name.starts_with("net.")) && is_whole(name)
}

/// The name of a figure of one network's players.
pub(crate) fn of_network(name: &str, network: &str) -> String {
    format!("{name}{{network={network}}}")
}

/// The network in such a name.
pub(crate) fn network_of<'a>(name: &str, whole: &'a str) -> Option<&'a str> {
    whole.strip_prefix(name)?.strip_prefix("{network=")?.strip_suffix('}')
}

/// What a recorder knows from the start, so that there is room for it when bots have used up all names.
pub(crate) const COUNTS: &[&str] = &[
    NAMES_LEFT_OUT,
    FLIGHTS_LEFT_OUT,
    HANDED_OVER,
    TICKS,
    TICKS_BEHIND,
    TICKS_SKIPPED,
    SNAPSHOTS_DEFERRED,
    COARSE_TIMERS,
    SENDS_REFUSED,
    "net.packets_sent",
    PACKETS_RECEIVED,
    "net.bytes_sent",
    "net.bytes_received",
    TLS_UNVERIFIED,
    KERNEL_DROPS,
];
/// The same of gauges.
pub(crate) const GAUGES: &[&str] = &[CPU, CPU_OTHERS, CPU_STOLEN, DESCRIPTORS, MEMORY, DIAL];
