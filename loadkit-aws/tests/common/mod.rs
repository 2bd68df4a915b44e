//! Who answers in place of AWS: an emulator as a process of its own, or a server that answers what a test wants.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a test that cannot go on fails; not all use all of it"
)]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loadkit_aws::{Client, Config, Credentials, Tries};

/// An emulator is there within this time.
const START: Duration = Duration::from_secs(60);

/// A client of what is at this address, that does not wait long between tries.
pub(crate) fn client(at: SocketAddr) -> Client {
    Client::new(config(at))
}

pub(crate) fn config(at: SocketAddr) -> Config {
    let config = Config::new("us-east-1", Credentials::new("test", "test", None)).at(&format!("http://{at}"));
    Config { tries: Tries { pause: Duration::from_millis(1), ..Tries::default() }, ..config }
}

/// An emulator of AWS: a process that ends with this.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    pub(crate) at: SocketAddr,
}

impl Emulator {
    /// `ministack`; none, and a word, if this machine has it not.
    pub(crate) fn ministack() -> Option<Emulator> {
        let folder = folder("LOADKIT_TEST_MINISTACK")?;
        Some(Emulator::start(|port| {
            let mut python = Command::new("python3");
            python.args(["-c", "from ministack.app import main; main()"]).env("PYTHONPATH", &folder);
            python.envs([("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1"), ("LAMBDA_EXECUTOR", "local")]);
            python.envs([("SFTP_ENABLED", "0"), ("IOT_MTLS_ENABLED", "0"), ("LOG_LEVEL", "WARNING")]);
            python.env("GATEWAY_PORT", port.to_string()).env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
            python
        }))
    }

    /// `moto`; none, and a word, if this machine has it not.
    pub(crate) fn moto() -> Option<Emulator> {
        let folder = folder("LOADKIT_TEST_MOTO")?;
        Some(Emulator::start(|port| {
            let mut python = Command::new("python3");
            python.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONPATH", &folder);
            python
        }))
    }

    fn start(command: impl Fn(u16) -> Command) -> Emulator {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = command(free.port());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        // What it says is read as it comes and shown, a little of it, should it not start.
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, saying) = (BufReader::new(child.stderr.take().unwrap()).lines(), said.clone());
        let (ended, end) = sync_channel(1);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut said = saying.lock().unwrap();
                if said.len() < 10_000 {
                    said.push_str(&line);
                    said.push('\n');
                }
            }
            let _ = ended.send(());
        });
        let mut emulator = Emulator { child, at: free };
        let began = Instant::now();
        while TcpStream::connect(free).is_err() {
            let gone = end.recv_timeout(Duration::from_millis(20)).is_ok();
            if gone || began.elapsed() > START {
                emulator.end();
                panic!("the emulator does not start: {}", said.lock().unwrap());
            }
        }
        emulator
    }

    fn end(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn folder(variable: &str) -> Option<String> {
    let folder = env::var(variable).ok();
    match &folder {
        Some(folder) => assert!(Path::new(folder).is_dir(), "{variable} says {folder}, and there is nothing"),
        None => println!("left out: {variable} does not say in which folder its Python package is"),
    }
    folder
}

/// A request, as a server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `POST / HTTP/1.1`.
    pub(crate) line: String,
    /// In small letters, with their values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What is asked for: `PutItem`.
    pub(crate) fn action(&self) -> &str {
        self.header("x-amz-target").and_then(|target| target.split('.').nth(1)).unwrap_or_default()
    }
}

/// What it does.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers with this status and body.
    Says(u16, String),
    /// The same, with these headers too, each with its line's end.
    SaysWith(u16, String, String),
    /// Closes the connection.
    Closes,
    /// Says nothing.
    Hangs,
}

/// A server that does what a test wants at each request, by its number from 0.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) fn new(does: impl Fn(usize, &Asked) -> Does + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let connections = Arc::new(AtomicUsize::new(0));
        let (asking, does, connecting) = (asked.clone(), Arc::new(does), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connecting.fetch_add(1, Ordering::SeqCst);
                let (asking, does) = (asking.clone(), does.clone());
                thread::spawn(move || serve(stream, &asking, &*does));
            }
        });
        Fake { at, asked, connections }
    }

    /// How many there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>, does: &dyn Fn(usize, &Asked) -> Does) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let header = |line: &String| line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned()));
        let headers: Vec<(String, String)> = head.iter().skip(1).filter_map(header).collect();
        let length = headers.iter().find(|(key, _)| key == "content-length");
        let mut body = vec![0; length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let request = Asked { line: head[0].clone(), headers, body: String::from_utf8_lossy(&body).into_owned() };
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        let (status, headers, body) = match does(number, &request) {
            Does::Says(status, body) => (status, String::new(), body),
            Does::SaysWith(status, headers, body) => (status, headers, body),
            Does::Closes => return None,
            // Until the client has gone.
            Does::Hangs => return reader.read(&mut [0]).ok().map(drop),
        };
        write!(writer, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).ok()?;
    }
}
