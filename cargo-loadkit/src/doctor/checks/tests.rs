//! Machines that are made up, and what is found of them.

use super::*;

const GOOD: &[(&str, &str)] = &[
    ("/proc/sys/net/ipv4/ip_local_port_range", "1024\t65535"),
    ("/proc/sys/net/core/rmem_max", "16777216"),
    ("/proc/sys/net/core/wmem_max", "16777216"),
    ("/proc/meminfo", "MemTotal:       32000000 kB\nMemAvailable:   16000000 kB\n"),
    ("/proc/stat", "cpu  1000 0 100 9000 0 0 0 10 0 0\ncpu0 1"),
    ("/proc/loadavg", "0.10 0.20 0.30 1/100 5"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc"),
    ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance"),
];

fn machine(changed: &[(&'static str, &'static str)]) -> Machine {
    let files: Vec<_> = GOOD.iter().chain(changed).copied().collect();
    Machine { descriptors: Some((1_024, 1 << 20)), clock_ns: Some(1), ..Machine::made_up(&files, &[]) }
}

fn need(bots: u64) -> Need {
    Need { bots, ..Need::default() }
}

/// What is not in order of a machine on which a file is different.
fn of(changed: (&'static str, &'static str), bots: u64) -> Vec<Finding> {
    let all = all(&machine(&[changed]), &need(bots));
    all.into_iter().filter(|finding| finding.state >= State::Warning).collect()
}

#[test]
fn a_good_machine_has_no_fault() {
    let all = all(&machine(&[]), &need(10_000));
    assert!(all.iter().all(|finding| finding.state <= State::Unknown), "{all:#?}");
    assert_eq!(all.iter().filter(|finding| finding.state == State::Unknown).count(), 1, "who keeps the time");
}

#[test]
fn each_fault_has_a_line_that_mends_it() {
    for (changed, bots, name, state, remedy) in [
        (
            ("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999"),
            30_000,
            "ports",
            State::Fault,
            "ip_local_port_range",
        ),
        (("/x", ""), 200_000, "ports", State::Fault, "play from 4 addresses"),
        (("/proc/sys/net/core/rmem_max", "212992"), 10, "buffers", State::Warning, "net.core.rmem_max=8388608"),
        (
            ("/proc/sys/net/netfilter/nf_conntrack_max", "5000"),
            9_000,
            "conntrack",
            State::Fault,
            "nf_conntrack_max=18000",
        ),
        (("/sys/fs/cgroup/memory.max", "1000000"), 1_000, "memory", State::Warning, "fewer players"),
        (("/sys/fs/cgroup/cpu.max", "150000 100000"), 10, "cores", State::Warning, "--shards 1"),
        (
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
            10,
            "governor",
            State::Warning,
            "cpupower",
        ),
        (("/proc/stat", "cpu  1000 0 100 9000 0 0 0 900 0 0"), 10, "steal", State::Warning, "dedicated cores"),
        (("/proc/loadavg", "3.90 1 1 1/100 5"), 10, "load", State::Warning, "end what else runs here"),
        (
            ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
            10,
            "clock",
            State::Warning,
            "tsc",
        ),
    ] {
        let found = of(changed, bots);
        let finding =
            found.iter().find(|finding| finding.name == name).unwrap_or_else(|| panic!("{changed:?}: {found:?}"));
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.remedy.as_deref().unwrap().contains(remedy), "{finding:?}");
    }
    let few = Machine { descriptors: Some((256, 1_024)), ..machine(&[]) };
    let found = all(&few, &need(2_000));
    assert!(found[0].state == State::Fault && found[0].found.starts_with("1,024 of 2,064 needed"), "{:?}", found[0]);
}

#[test]
fn a_machine_that_tells_nothing_has_no_fault_either() {
    let all = all(&Machine::made_up(&[], &[]), &need(10));
    assert!(all.iter().all(|finding| finding.state <= State::Unknown), "{all:#?}");
}

#[test]
fn moments_are_read() {
    assert_eq!(seconds("2023-11-14T22:13:20Z"), Some(1_700_000_000));
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
    for bad in ["", "2023-11-14", "x-1-1T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T2"] {
        assert_eq!(seconds(bad), None, "{bad}");
    }
}
