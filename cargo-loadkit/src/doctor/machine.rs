//! What is looked at: files of Linux, limits, the environment, and what a few programs say.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_getres};

/// What is told of something by its name, if anything is.
type Told = Box<dyn Fn(&str) -> Option<String>>;
/// What a program with these arguments says.
type Says = Box<dyn Fn(&[&str]) -> Option<String>>;

/// A machine, or what a test says of one.
pub(super) struct Machine {
    /// The text of a file, without what is around it.
    pub(super) file: Told,
    /// A variable of the environment that is not empty.
    pub(super) variable: Told,
    /// What a program says on standard output.
    pub(super) says: Says,
    /// Descriptors that a process may open: now, and after raising its limit.
    pub(super) descriptors: Option<(u64, u64)>,
    /// How fine the clock is, nanoseconds.
    pub(super) clock_ns: Option<u64>,
    pub(super) cores: u64,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// No file of these has more.
const MAX_BYTES: usize = 64 * 1024;

impl Machine {
    /// This one.
    pub(super) fn this() -> Machine {
        let clock = clock_getres(ClockId::CLOCK_MONOTONIC).ok();
        Machine {
            file: Box::new(|path| {
                let text = fs::read_to_string(path).ok()?;
                Some(text.get(..MAX_BYTES).unwrap_or(&text).trim().to_owned())
            }),
            variable: Box::new(|name| env::var(name).ok().filter(|value| !value.is_empty())),
            says: Box::new(says),
            descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok(),
            clock_ns: clock.map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            now: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    /// One of which nothing is known but these files and variables.
    #[cfg(test)]
    pub(super) fn made_up(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Machine {
        let map = |pairs: &[(&str, &str)]| -> std::collections::BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let (files, variables) = (map(files), map(variables));
        Machine {
            file: Box::new(move |path| files.get(path).cloned()),
            variable: Box::new(move |name| variables.get(name).cloned()),
            says: Box::new(|_| None),
            descriptors: None,
            clock_ns: None,
            cores: 4,
            now: 1_700_000_000,
        }
    }

    /// A file that is one number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        (self.file)(path)?.parse().ok()
    }
}

/// What a program says, if it ends well.
fn says(words: &[&str]) -> Option<String> {
    let (program, args) = words.split_first()?;
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a file or a folder is there.
pub(super) fn is_there(path: &Path) -> bool {
    path.exists()
}
