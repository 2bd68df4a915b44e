//! What the engine asks of the machine: a timer, and how much of the machine it uses.

use std::time::Duration;

use crate::timer::{TokioTimer, WakeTimer};

/// How much of the machine this process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads since the process began.
    pub cpu: Duration,
    /// Open descriptors.
    pub descriptors: u64,
    /// Resident memory, without pages of files, bytes.
    pub memory: u64,
    /// The whole machine, where that is known.
    pub machine: Option<MachineUsage>,
}

/// How much of the machine all processes use, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineUsage {
    /// CPU time of all processes and of the kernel.
    pub cpu: Duration,
    /// CPU time that the host of a virtual machine kept from it.
    pub stolen: Duration,
    /// Datagrams thrown away because their socket was full.
    pub datagrams_dropped: u64,
}

/// The machine under the engine: the operating system, or virtual time.
pub trait Host: Send + Sync {
    /// Makes a shard's timer, on the shard's thread and inside its runtime.
    fn timer(&self) -> Box<dyn WakeTimer>;

    /// What the process uses now; `None` where that is not known.
    fn usage(&self) -> Option<Usage>;

    /// Whether time is virtual: it stands still while anything can run, and jumps when nothing can.
    fn is_virtual(&self) -> bool {
        false
    }
}

/// Virtual time: an hour of load takes as long as its work does, and comes out the same each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Virtual;

impl Host for Virtual {
    fn timer(&self) -> Box<dyn WakeTimer> {
        Box::new(TokioTimer::default())
    }

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
