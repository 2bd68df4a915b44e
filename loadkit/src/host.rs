//! The operating system under the engine: a sharp timer, and how much of the machine is in use.

use std::fs;
use std::time::Duration;

use loadkit_core::{Host, Usage, WakeTimer};
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

/// Resident memory: the second field of `/proc/self/statm`, in pages of 4 KiB.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4_096)
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
