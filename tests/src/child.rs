//! A child process that ends: by itself in the time allowed, or killed, together with its own children.

#![allow(clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What a child process left.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A running child process in a process group of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    out: Receiver<String>,
    err: Receiver<String>,
    out_lines: Receiver<String>,
    err_lines: Receiver<String>,
}

/// Lines that wait to be looked at; of more, the later ones are kept in the output alone.
const LINES: usize = 1_000;

impl Child {
    /// Starts it, with its output kept unless the command sends it elsewhere.
    pub fn start(command: &mut Command) -> Child {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let ((out_sender, out_lines), (err_sender, err_lines)) = (sync_channel(LINES), sync_channel(LINES));
        let out = child.stdout.take().map(|out| keep(out, out_sender));
        let err = child.stderr.take().map(|err| keep(err, err_sender));
        let nothing = || sync_channel(1).1;
        Child { child, out: out.unwrap_or_else(nothing), err: err.unwrap_or_else(nothing), out_lines, err_lines }
    }

    /// Starts it and waits for its end.
    pub fn run(command: &mut Command, limit: Duration) -> Output {
        Child::start(command.stdout(Stdio::piped())).wait(limit)
    }

    /// The first line of its standard output.
    pub fn first_line(&self, limit: Duration) -> String {
        self.out_lines.recv_timeout(limit).expect("the child says something in time")
    }

    /// Waits for a line with `what` on its standard error.
    pub fn says(&self, what: &str, limit: Duration) {
        let _ = self.line_with(what, limit);
    }

    /// The next line with `what` on its standard error.
    pub fn line_with(&self, what: &str, limit: Duration) -> String {
        let until = Instant::now() + limit;
        loop {
            let line = self.err_lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.expect("the child says what it should in time");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `INT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the child is there to be told {name}");
    }

    /// Waits for its end.
    pub fn wait(mut self, limit: Duration) -> Output {
        let err = self.err.recv_timeout(limit);
        let out = self.out.recv_timeout(if err.is_err() { Duration::ZERO } else { limit });
        if err.is_err() {
            let pid = self.pid();
            self.kill();
            let said = self.err.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
            panic!("the child {pid} did not end within {limit:?}; it said: {said}");
        }
        // Its output is closed, so it is about to end.
        let status = self.child.wait().expect("a child can be waited for");
        Output { code: status.code(), out: out.unwrap_or_default(), err: err.unwrap_or_default() }
    }

    fn kill(&mut self) {
        let group = format!("-{}", self.pid());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

/// Reads all of it on a thread, and hands it over at its end.
fn keep(stream: impl Read + Send + 'static, lines: SyncSender<String>) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let (mut stream, mut all) = (BufReader::new(stream), Vec::new());
        loop {
            let from = all.len();
            match stream.read_until(b'\n', &mut all) {
                Ok(0) | Err(_) => break,
                Ok(_) => drop(lines.try_send(String::from_utf8_lossy(&all[from..]).trim_end().to_owned())),
            }
        }
        let _ = sender.send(String::from_utf8_lossy(&all).into_owned());
    });
    receiver
}
