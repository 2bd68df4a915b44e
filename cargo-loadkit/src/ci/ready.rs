//! `port | line TEXT | command COMMAND`: what says that a server is ready.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::address::Address;
use super::group::Group;
use crate::exit::Failure;

/// So long a command may take that asks whether the server is ready.
const ASKING: Duration = Duration::from_secs(10);
/// A log is read in such pieces.
const PIECE: u64 = 1 << 16;

/// What says that a server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Somebody answers at its port.
    Port,
    /// This text stands in its output.
    Line(String),
    /// This command ends well.
    Command(String),
}

impl Ready {
    /// Reads what a setting says.
    pub(super) fn parse(text: &str) -> Result<Ready, Failure> {
        let (word, rest) = text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()));
        match (word, rest) {
            ("port", "") => Ok(Ready::Port),
            ("line", text) if !text.is_empty() => Ok(Ready::Line(text.to_owned())),
            ("command", command) if !command.is_empty() => Ok(Ready::Command(command.to_owned())),
            _ => Err(Failure::wrong_use(format!("ready: {text:?} is none; write port, line TEXT or command COMMAND"))),
        }
    }

    /// As it is said of a server that is not.
    pub(super) fn wanted(&self, address: &Address) -> String {
        match self {
            Ready::Port => format!("nobody answers at {}", address.target()),
            Ready::Line(text) => format!("its output has no {text:?}"),
            Ready::Command(command) => format!("`{command}` does not end well"),
        }
    }
}

/// Looks again and again.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    ready: &'a Ready,
    address: &'a Address,
    folder: &'a Path,
    log: PathBuf,
    /// Up to where the log has been read, without what may be the first part of the text.
    read: u64,
}

impl<'a> Watch<'a> {
    /// Of a server at this address, whose commands run in this folder and whose output is in this file.
    pub(super) fn new(ready: &'a Ready, address: &'a Address, folder: &'a Path, log: &Path) -> Watch<'a> {
        Watch { ready, address, folder, log: log.to_owned(), read: 0 }
    }

    /// Whether it is ready now.
    pub(super) async fn is_ready(&mut self) -> bool {
        match self.ready {
            Ready::Port => self.address.answers().await,
            Ready::Line(text) => self.has_said(text),
            Ready::Command(command) => {
                let mut shell = shell(command, self.folder);
                shell.stdout(Stdio::null()).stderr(Stdio::null());
                let Ok(mut group) = Group::start(&mut shell) else { return false };
                matches!(timeout(ASKING, group.wait()).await, Ok(Ok(status)) if status.success())
            }
        }
    }

    /// Whether the text stands in what has come since the last look.
    fn has_said(&mut self, text: &str) -> bool {
        let Ok(mut file) = File::open(&self.log) else { return false };
        loop {
            let mut piece = Vec::new();
            let from = file.seek(SeekFrom::Start(self.read));
            if from.and_then(|_| (&mut file).take(PIECE).read_to_end(&mut piece)).is_err() {
                return false;
            }
            if piece.windows(text.len()).any(|window| window == text.as_bytes()) {
                return true;
            }
            self.read += (piece.len() as u64).saturating_sub(text.len() as u64 - 1);
            if (piece.len() as u64) < PIECE {
                return false;
            }
        }
    }
}

/// A command line, in a folder, with nothing to read.
pub(super) fn shell(command: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder).stdin(Stdio::null());
    shell
}

/// The last lines of a log, each cut where it is long.
pub(super) fn last_lines(log: &Path, lines: usize) -> Vec<String> {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(PIECE)))?;
        let mut end = Vec::new();
        file.take(PIECE).read_to_end(&mut end)?;
        std::io::Result::Ok(String::from_utf8_lossy(&end).into_owned())
    };
    let text = read().unwrap_or_default();
    let plain = |line: &str| loadkit_core::format::fit(line.trim_end(), MAX_CHARS);
    let all: Vec<String> = text.lines().map(plain).filter(|line| !line.is_empty()).collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().to_vec()
}

/// More of a line says no more.
const MAX_CHARS: usize = 400;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_three_ways_are_read() {
        assert_eq!(Ready::parse("port").unwrap(), Ready::Port);
        assert_eq!(Ready::parse("line listens on").unwrap(), Ready::Line("listens on".into()));
        assert_eq!(Ready::parse("command curl -f http://a/").unwrap(), Ready::Command("curl -f http://a/".into()));
        for text in ["", "line", "line  ", "port 4000", "soon"] {
            assert!(Ready::parse(text).unwrap_err().what().contains("write port, line TEXT"), "{text}");
        }
    }

    #[test]
    fn a_line_is_found_however_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        let (ready, address) = (Ready::Line("is ready".into()), Address::parse("127.0.0.1:1").unwrap());
        let mut watch = Watch::new(&ready, &address, folder.path(), &log);
        assert!(!watch.has_said("is ready"), "there is no log");
        let mut file = File::create(&log).unwrap();
        for (part, is_ready) in [("x".repeat(70_000).as_str(), false), ("all is re", false), ("ady now\n", true)] {
            file.write_all(part.as_bytes()).unwrap();
            assert_eq!(watch.has_said("is ready"), is_ready, "{}", part.len());
        }
        file.write_all(b"\n1\n2\n\n3\n").unwrap();
        assert_eq!(last_lines(&log, 2), ["2", "3"]);
        assert_eq!(last_lines(&log, 9).len(), 4);
        assert_eq!(last_lines(&folder.path().join("none"), 9), [""; 0]);
    }
}
