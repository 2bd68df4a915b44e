//! A child process on a terminal of its own: what is typed there arrives as from a person, Ctrl-C included.

#![allow(clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ctrl-C, as a keyboard sends it: the terminal makes a SIGINT of it, for whoever is in the foreground.
pub const CTRL_C: &str = "\u{3}";

/// A program on a terminal. It ends, at the latest, when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    /// `script` of util-linux, which has the other end of the terminal.
    script: std::process::Child,
    keys: ChildStdin,
    shown: Arc<Shown>,
    /// So much of it has been looked at.
    seen: usize,
}

/// What the terminal has shown so far, and that it shows nothing more.
#[derive(Debug, Default)]
struct Shown {
    text: Mutex<(Vec<u8>, bool)>,
    grown: Condvar,
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminal {
    /// Starts this command on a terminal, with its folder and variables.
    pub fn start(command: &Command) -> Terminal {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")));
        let line = format!("exec {}", quoted.collect::<Vec<_>>().join(" "));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut script = script.spawn().unwrap_or_else(|error| panic!("script (bsdutils) does not start: {error}"));
        let (keys, mut screen) = (script.stdin.take().expect("a pipe"), script.stdout.take().expect("a pipe"));
        let shown = Arc::new(Shown::default());
        let growing = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4 << 10];
            loop {
                let read = screen.read(&mut bytes).unwrap_or(0);
                let mut shown = growing.lock();
                shown.0.extend_from_slice(bytes.get(..read).unwrap_or_default());
                shown.1 = read == 0;
                growing.grown.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Terminal { script, keys, shown, seen: 0 }
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal is there");
    }

    /// Waits until it shows this, behind what was waited for before.
    pub fn shows(&mut self, what: &str, limit: Duration) {
        let until = Instant::now() + limit;
        let mut shown = self.shown.lock();
        loop {
            let new = shown.0.get(self.seen..).unwrap_or_default();
            if let Some(at) = new.windows(what.len()).position(|part| part == what.as_bytes()) {
                self.seen += at + what.len();
                return;
            }
            let rest = until.saturating_duration_since(Instant::now());
            assert!(!shown.1 && !rest.is_zero(), "it does not show {what:?}, but {}", String::from_utf8_lossy(new));
            shown = self.shown.grown.wait_timeout(shown, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for its end: its exit code, and all that it has shown.
    pub fn wait(mut self, limit: Duration) -> (Option<i32>, String) {
        let until = Instant::now() + limit;
        let mut shown = self.shown.lock();
        while !shown.1 {
            let rest = until.saturating_duration_since(Instant::now());
            assert!(!rest.is_zero(), "it does not end; it shows {}", String::from_utf8_lossy(&shown.0));
            shown = self.shown.grown.wait_timeout(shown, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        let text = String::from_utf8_lossy(&shown.0).into_owned();
        drop(shown);
        let status = self.script.wait().expect("a child can be waited for");
        (status.code(), text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !matches!(self.script.try_wait(), Ok(Some(_))) {
            // Its terminal goes with it, and whoever is on that hears so. It listens to TERM, and ends its child then.
            let _ = Command::new("kill").args(["-s", "TERM", &self.script.id().to_string()]).status();
            let _ = self.script.wait();
        }
    }
}
