//! The operating system under the engine: a sharp timer, and how much of the machine is in use.

use std::fs;
use std::time::Duration;

use loadkit_core::{Host, MachineUsage, Usage, WakeTimer};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

use crate::timer;

/// The operating system that the process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Os;

impl Host for Os {
    fn timer(&self) -> Box<dyn WakeTimer> {
        timer::sharpest()
    }

    fn usage(&self) -> Option<Usage> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let seconds = |time: nix::sys::time::TimeVal| {
            Duration::new(u64::try_from(time.tv_sec()).unwrap_or(0), 0)
                + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
        };
        Some(Usage {
            cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
            descriptors: open_descriptors(),
            memory: resident_bytes().unwrap_or(0),
            machine: machine(),
        })
    }
}

/// Open descriptors of this process. Since Linux 6.2 the size of the folder is their number; before that, they are
/// counted one by one.
fn open_descriptors() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).map(|folder| folder.len()) {
        Ok(0) => fs::read_dir(FOLDER).map_or(0, |entries| entries.count() as u64),
        Ok(count) => count,
        Err(_) => 0,
    }
}

/// Resident memory of the process's own.
fn resident_bytes() -> Option<u64> {
    own_pages(&fs::read_to_string("/proc/self/statm").ok()?).map(|pages| pages * 4_096)
}

/// The second field of `/proc/self/statm` without the third, in pages of 4 KiB. Pages of files, as of the program itself,
/// come and go as the kernel likes.
fn own_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    Some(fields.next()?.saturating_sub(fields.next()?))
}

/// What the whole machine does, as Linux tells (proc_stat(5), proc_pid_net(5)).
fn machine() -> Option<MachineUsage> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let snmp = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let (cpu, stolen) = cpu_of(&stat)?;
    Some(MachineUsage { cpu, stolen, datagrams_dropped: dropped_of(&snmp).unwrap_or(0) })
}

/// CPU time in use and stolen, from the first line: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths
/// of a second.
fn cpu_of(stat: &str) -> Option<(Duration, Duration)> {
    let mut words = stat.lines().next()?.split_whitespace();
    if words.next() != Some("cpu") {
        return None;
    }
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else { return None };
    let time = |ticks: u64| Duration::from_millis(ticks.saturating_mul(10));
    Some((time([user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add)), time(steal)))
}

/// `RcvbufErrors` of UDP: a line of names, and below it a line of numbers.
fn dropped_of(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "RcvbufErrors")?;
    numbers.split_whitespace().nth(at)?.parse().ok()
}

/// Descriptors that the kit itself needs, besides those of bots.
const OWN_DESCRIPTORS: u64 = 64;

/// How many more sockets this process can open, after raising its own limit as far as the system lets it.
///
/// `None` where there is no limit, or none is known.
pub fn free_descriptors() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let limit = if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    Some(limit.saturating_sub(open_descriptors() + OWN_DESCRIPTORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_understood() {
        let stat = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(cpu_of(stat), Some((Duration::from_millis(1_630), Duration::from_millis(80))));
        for bad in ["", "cpu 1 2", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8"] {
            assert_eq!(cpu_of(bad), None);
        }
        let snmp = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 9 8 7\nUdpLite: RcvbufErrors\nUdpLite: 1\n";
        assert_eq!(dropped_of(snmp), Some(7));
        assert_eq!(dropped_of("Udp: InDatagrams\nUdp: 1\n"), None);
        assert_eq!((own_pages("900 500 120 7 0 80 0\n"), own_pages("900 500"), own_pages("")), (Some(380), None, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_something() {
        let usage = Os.usage().unwrap();
        assert!(usage.memory > 0 && usage.descriptors > 0);
        assert!(usage.machine.unwrap().cpu > Duration::ZERO);
    }
}
