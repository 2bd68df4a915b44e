//! A process with all its children, and an end that all of them come to.
//!
//! **Nothing that is started here outlives `cargo loadkit`**: a group is asked to end and then killed, also when its owner is
//! dropped; and where `cargo loadkit` itself is killed, a guard that sees its pipe break kills the group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, sleep};

/// How often a group is looked at that is to end.
const LOOK: Duration = Duration::from_millis(20);
/// Waits for its pipe to break, and kills the group then.
const GUARD: &str = "read _; kill -s KILL -- \"-$1\"";

/// A process in a process group of its own.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    id: Pid,
    /// Ends when this side's end of its pipe closes, or when it is killed.
    guard: Option<Child>,
}

impl Group {
    /// Starts it.
    pub(super) fn start(command: &mut Command) -> io::Result<Group> {
        let child = command.process_group(0).spawn()?;
        let id =
            child.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(|| io::Error::other("it has no number"))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &id.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Ok(Group { child, id: Pid::from_raw(id), guard: guard.ok() })
    }

    /// Waits for the end of the first process.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether that has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its standard error, once, if that is a pipe.
    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Its standard output, likewise.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Says it to all of the group.
    pub(super) fn signal(&self, signal: Signal) {
        // That nobody is there any more is what is wanted in the end.
        let _ = killpg(self.id, signal);
    }

    /// Asks all of the group to end, and kills those that have not after this time. Whether they ended by themselves.
    pub(super) async fn stop(mut self, within: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + within;
        loop {
            let is_first_there = self.ended().is_none();
            if !is_first_there && killpg(self.id, None).is_err() {
                break;
            }
            if Instant::now() >= until {
                self.signal(Signal::SIGKILL);
                let _ = self.child.wait().await;
                self.dismiss().await;
                return false;
            }
            sleep(LOOK).await;
        }
        self.dismiss().await;
        true
    }

    /// Lets the guard go, who has nobody to look after.
    async fn dismiss(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill().await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(guard) = &mut self.guard {
            self.child.start_kill().ok();
            let _ = killpg(self.id, Signal::SIGKILL);
            let _ = guard.start_kill();
        }
    }
}
