//! What this process has used of the CPU.

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;

/// What this process has used so far, or what each of many things used.
#[derive(Clone, Copy, Default)]
pub struct Used {
    /// In user mode, µs.
    pub user_us: f64,
    /// In the kernel, µs.
    pub system_us: f64,
    /// How often it went to sleep.
    pub sleeps: f64,
}

impl Used {
    /// What this process has used so far.
    pub fn now() -> Used {
        let us = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
        getrusage(UsageWho::RUSAGE_SELF).map_or(Used::default(), |usage| Used {
            user_us: us(usage.user_time()),
            system_us: us(usage.system_time()),
            sleeps: usage.voluntary_context_switches() as f64,
        })
    }

    /// What each of so many round trips used since then.
    pub fn each(before: Used, trips: u64) -> Used {
        let (now, n) = (Used::now(), trips.max(1) as f64);
        Used {
            user_us: (now.user_us - before.user_us) / n,
            system_us: (now.system_us - before.system_us) / n,
            sleeps: (now.sleeps - before.sleeps) / n,
        }
    }

    /// In both modes, µs.
    pub fn us(self) -> f64 {
        self.user_us + self.system_us
    }

    /// For a figure's notes.
    pub fn notes(self) -> serde_json::Value {
        json!({ "us": self.us(), "user_us": self.user_us, "system_us": self.system_us, "sleeps": self.sleeps })
    }
}
