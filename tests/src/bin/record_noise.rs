//! Records what the gate is proved with: the arena's response times, second by second, as this machine has them.
//!
//! ```text
//! record_noise DIR NAME [--seconds N] [--bots N] [--beside]
//! ```
//!
//! Starts an arena server in a process of its own, plays against it, and writes `DIR/NAME.txt`: a line a step and
//! interval, `STEP INTERVAL FAILED VALUE:COUNT …`. With `--beside`, two servers have half of the players each at the
//! same time, and `NAME.txt` and `NAME-b.txt` are the two sides. `gate_noise pack` makes the repository's data of it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arena::{Arena, Options, serve};
use loadkit::core::{
    Collector, Conditions, Control, Failure, HistogramDelta, Host, Job, MetricSink, RunId, Seed, Snapshot, Target,
    judge, run,
};
use loadkit::{Os, Plan};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, options)) if first == "server" => serve_arena(options),
        _ => record(&args),
    };
    done.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(2)
        },
        |()| ExitCode::SUCCESS,
    )
}

fn serve_arena(options: &[String]) -> Result<()> {
    Ok(serve::command(Options::parse(options)?)?)
}

fn record(args: &[String]) -> Result<()> {
    let [dir, name, rest @ ..] = args else { return Err("say where to: record_noise DIR NAME".into()) };
    let number = |flag: &str, default: u64| -> Result<u64> {
        match rest.iter().position(|arg| arg == flag) {
            Some(at) => Ok(rest.get(at + 1).ok_or("a number is missing")?.parse()?),
            None => Ok(default),
        }
    };
    let (seconds, bots, seed) = (number("--seconds", 320)?, number("--bots", 300)?, number("--seed", 1)?);
    let beside = rest.iter().any(|arg| arg == "--beside");
    let sides: &[&str] = if beside { &["", "-b"] } else { &[""] };
    let mut players = Vec::new();
    for (i, side) in (0..).zip(sides) {
        let path = PathBuf::from(dir).join(format!("{name}{side}.txt"));
        let (bots, seed) = (bots / sides.len() as u64, Seed(2 * seed + i));
        players.push(thread::spawn(move || play(&path, seconds, bots, seed).map_err(|error| error.to_string())));
    }
    for player in players {
        player.join().map_err(|_| "a run has panicked")??;
    }
    Ok(())
}

/// One server, and one run against it.
fn play(path: &Path, seconds: u64, bots: u64, seed: Seed) -> Result<()> {
    let server = Server::start()?;
    let plan = Plan::builder().bots(bots).ramp(Duration::from_secs(5)).duration(Duration::from_secs(seconds)).party(2);
    let plan = plan.interval(Duration::from_secs(1)).build()?;
    let planned = plan.duration();
    let job = Job {
        shards: 2,
        ..Job::whole(RunId(seed.0), plan, Target::new(&server.addr, vec![server.addr.parse()?]), seed)
    };
    let host: Arc<dyn Host> = Arc::new(Os);
    let mut tape = Tape { collector: Collector::new(Duration::from_secs(1)), lines: BTreeMap::new() };
    let ended = run(&Arc::new(Arena), &job, &host, &Control::new(), &mut tape)?;
    let judgement = judge(&[], tape.collector.totals(), &Conditions::new(planned, &ended, 2, true));
    std::fs::write(path, tape.text())?;
    eprintln!("{}: {} {}", path.display(), judgement.verdict, judgement.headline());
    Ok(())
}

/// Keeps every interval.
struct Tape {
    collector: Collector,
    lines: BTreeMap<(String, u64), (HistogramDelta, u64)>,
}

impl Tape {
    fn text(&self) -> String {
        let mut text = String::new();
        for ((step, interval), (response, failed)) in &self.lines {
            let _ = write!(text, "{step} {interval} {failed}");
            for (value, count) in &response.buckets {
                let _ = write!(text, " {value}:{count}");
            }
            text.push('\n');
        }
        text
    }
}

#[async_trait::async_trait]
impl MetricSink for Tape {
    async fn publish(&mut self, snapshot: &Snapshot) -> std::result::Result<(), Failure> {
        self.collector.apply(snapshot);
        let interval = snapshot.to_us.saturating_sub(1) / 1_000_000;
        for (step, delta) in &snapshot.steps {
            let line = self.lines.entry((step.clone(), interval)).or_default();
            line.0.merge(&delta.response);
            line.1 += delta.failures.iter().map(|(_, count)| count).sum::<u64>();
        }
        Ok(())
    }
}

/// The server in a process of its own, which ends with this.
struct Server {
    child: Child,
    addr: String,
}

impl Server {
    fn start() -> Result<Server> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", "--listen", "127.0.0.1:0", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("the server has no output")?).read_line(&mut line)?;
        let addr = line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        Ok(Server { child, addr })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
