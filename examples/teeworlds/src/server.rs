//! `teeworlds-server` as a child process on loopback, for as long as the [`Server`] lives.

use crate::packet::{Control, Header, MAX_PACKET, Packet, Token};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fmt, io};
use tokio::time::Instant;

const NAME: &str = "teeworlds-server";
/// Debian puts games here, which is not in everybody's `PATH`.
const DEBIAN_GAMES: &str = "/usr/games";
/// As many clients as the server can take, all from one address, and snapshots at every tick.
const SETTINGS: [&str; 10] = [
    "bindaddr 127.0.0.1",
    "sv_name loadkit",
    "sv_register 0",
    "sv_map dm1",
    "sv_max_clients 64",
    "sv_max_clients_per_ip 64",
    "sv_player_slots 16",
    "sv_high_bandwidth 1",
    "sv_spamprotection 0",
    "sv_inactivekick 0",
];
/// A server that does not answer by then has failed.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent server is asked again after this time.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Lines of the server's log that are kept, to be shown when it fails.
const KEPT_LINES: usize = 12;

/// Why there is no server.
#[derive(Debug)]
pub enum ServerError {
    /// It is not installed.
    NotFound,
    /// It could not be started.
    Io(io::Error),
    /// It was started, and ended or did not answer. These are its last words.
    Silent(String),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "{NAME} is not installed; on Debian: apt-get install teeworlds-server"),
            Self::Io(error) => write!(f, "{NAME} cannot be started: {error}"),
            Self::Silent(words) => write!(f, "{NAME} does not answer; its last words were:\n{words}"),
        }
    }
}

impl std::error::Error for ServerError {}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    addr: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server on a free port of loopback, and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or does not start or answer.
    pub fn start() -> Result<Self, ServerError> {
        let program = find().ok_or(ServerError::NotFound)?;
        // The port is free now; that another takes it before the server does is possible, and would be reported.
        let addr = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let mut child = Command::new(program)
            .args(SETTINGS)
            .arg(format!("sv_port {}", addr.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let log = Arc::default();
        if let Some(output) = child.stdout.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep_last_lines(output, &log));
        }
        let mut server = Self { child, addr, log };
        if server.answers()? { Ok(server) } else { Err(ServerError::Silent(server.last_words())) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Waits for the answer to a token request.
    fn answers(&mut self) -> io::Result<bool> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.addr)?;
        socket.set_read_timeout(Some(ASK_EVERY))?;
        let own = Token([1, 2, 3, 4]);
        let mut request = Vec::new();
        Control::Token(own).write(Header { token: Token::NONE, ack: 0, resend: false }, &mut request);
        let end = Instant::now() + START_TIMEOUT;
        while Instant::now() < end && self.child.try_wait()?.is_none() {
            let mut answer = [0; MAX_PACKET];
            // Until it listens, its machine refuses: that is no error yet.
            let answered = socket.send(&request).and_then(|_| socket.recv(&mut answer));
            let Ok(len) = answered else {
                std::thread::sleep(ASK_EVERY);
                continue;
            };
            let mut scratch = Vec::new();
            let packet = Packet::read(&answer[..len], &mut scratch);
            if matches!(packet, Ok(Packet::Control(header, Control::Token(_))) if header.token == own) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended before, there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from(DEBIAN_GAMES)]);
    dirs.map(|dir| dir.join(NAME)).find(|file| file.is_file())
}

/// Reads all of it, as a server whose log nobody reads stands still.
fn keep_last_lines(output: impl Read, log: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { return };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == KEPT_LINES {
            log.pop_front();
        }
        log.push_back(String::from_utf8_lossy(&line).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let lines: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let log = Mutex::default();
        keep_last_lines(lines.as_bytes(), &log);
        let log = log.into_inner().unwrap();
        assert_eq!((log.len(), log[0].as_str()), (KEPT_LINES, "line 88"));
    }
}
