//! A server under test: started by a command, ready when it says so, ended in any case.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use loadkit_core::format;
use tokio::time::{Instant, sleep};

use super::address::{Address, PORT, free_port};
use super::group::Group;
use super::halt::Halt;
use super::ready::{Ready, Watch, last_lines, shell};
use crate::exit::Failure;

/// How often a server is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(50);
/// What a server that was not ready has to end.
const STOPPED: Duration = Duration::from_secs(5);
/// So much of a log is shown.
const LINES: usize = 20;
/// What a shell ends with where there is no such command, and where it may not be run.
const NO_COMMAND: [i32; 2] = [127, 126];

/// How a server is started.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Which of the two: `server`, `base server`.
    pub(super) name: &'static str,
    /// The setting that says so.
    pub(super) setting: &'static str,
    /// As it was written.
    pub(super) command: String,
    /// Where it runs.
    pub(super) folder: PathBuf,
    /// Where it listens then.
    pub(super) address: Address,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

/// What the server under test is called.
pub(super) const SERVER: &str = "server";

/// When a server has ended of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Starting,
    Playing,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    group: Group,
    start: Start,
}

impl Start {
    /// With a port of its own, where one is to be chosen.
    pub(super) fn settled(mut self) -> Result<Start, Failure> {
        if self.command.contains(PORT) || self.address.is_open() {
            let port = free_port()?;
            self.address = self.address.at(port);
            self.command = self.command.replace(PORT, &port.to_string());
        }
        Ok(self)
    }

    /// Starts the server and waits until it is ready; how long that took.
    pub(super) async fn run(
        self,
        ready: &Ready,
        within: Duration,
        halt: &mut Halt,
    ) -> Result<(Server, Duration), Failure> {
        let Start { name, log, address, .. } = &self;
        if address.is_local() && address.answers().await {
            let remedy = format!(
                "end what listens there; or let a free port be chosen: write {PORT} in place of the port in the command, and \
                 {} = \"127.0.0.1:{PORT}\"",
                if *name == SERVER { "target" } else { "base-target" }
            );
            return Err(Failure::missing(format!(
                "the port of the {name} is taken: {} answers already",
                address.target()
            ))
            .mended_by(remedy));
        }
        let begin = Instant::now();
        let group = self.start().map_err(|error| Failure::missing(format!("the {name} cannot be started: {error}")))?;
        let mut server = Server { group, start: self.clone() };
        let mut watch = Watch::new(ready, address, &self.folder, log);
        loop {
            if let Some(status) = server.group.ended() {
                let end = server.end(status, When::Starting);
                server.group.stop(Duration::ZERO).await;
                return Err(end);
            }
            if watch.is_ready().await {
                return Ok((server, begin.elapsed()));
            }
            if begin.elapsed() >= within {
                let what =
                    format!("the {name} was not ready within {}: {}", format::time(within), ready.wanted(address));
                let end = Failure::missing(what + &server.last_words()).mended_by(
                    "look into its log; say what tells that it is ready (--set ready='line TEXT', or 'command COMMAND'), or \
                     give it longer: --set ready-within=5m",
                );
                server.stop(STOPPED).await;
                return Err(end);
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                by = halt.said() => {
                    server.stop(STOPPED).await;
                    return Err(Halt::stopped(by, &format!("while the {} was starting", self.name)));
                }
            }
        }
    }

    fn start(&self) -> io::Result<Group> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        log.set_len(0)?;
        let mut shell = shell(&self.command, &self.folder);
        shell.stdout(log.try_clone()?).stderr(log);
        Group::start(&mut shell)
    }
}

impl Server {
    /// Its end, if it comes before it is asked to.
    pub(super) async fn wait(&mut self) -> Failure {
        match self.group.wait().await {
            Ok(status) => self.end(status, When::Playing),
            Err(error) => Failure::missing(format!("the {} cannot be waited for: {error}", self.start.name)),
        }
    }

    /// Its end, if it has come.
    pub(super) fn ended(&mut self) -> Option<Failure> {
        let status = self.group.ended()?;
        Some(self.end(status, When::Playing))
    }

    /// Ends it, kindly at first. Whether it did so by itself.
    pub(super) async fn stop(self, within: Duration) -> bool {
        self.group.stop(within).await
    }

    /// How it was started.
    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// It has ended of itself: why, its last words, and what may mend it.
    fn end(&self, status: ExitStatus, when: When) -> Failure {
        let Start { name, setting, command, folder, .. } = &self.start;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("with exit code {code}"),
            (None, Some(signal)) => format!("by signal {signal}"),
            (None, None) => "in an unknown way".to_owned(),
        };
        let phase = if when == When::Starting { "before it was ready" } else { "while the players played" };
        let what = format!("the {name} ended {phase}, {how}: `{command}`{}", self.last_words());
        if status.code().is_some_and(|code| NO_COMMAND.contains(&code)) {
            let remedy = format!("there is no such command in {}: correct the setting {setting}", shown(folder));
            return Failure::missing(what).mended_by(remedy);
        }
        match when {
            // A build of the server that falls over under its load has failed; the build before says nothing of it.
            When::Playing if *name == SERVER => Failure::failed(what),
            When::Playing => Failure::invalid(what),
            When::Starting => Failure::missing(what),
        }
    }

    /// The end of its log, for a message.
    fn last_words(&self) -> String {
        let log = &self.start.log;
        let lines = last_lines(log, LINES);
        if lines.is_empty() {
            return format!("\n  it has said nothing ({})", log.display());
        }
        let list: String = lines.iter().map(|line| format!("\n  | {line}")).collect();
        format!("\n  the end of {}:{list}", log.display())
    }
}

fn shown(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}
