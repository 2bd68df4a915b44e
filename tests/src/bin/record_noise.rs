//! Records what the gate is proved with: the arena's response times, second by second, as this machine has them.
//!
//! ```text
//! record_noise DIR NAME [--seconds N] [--bots N] [--seed N] [--delay TIME] [--beside]
//! ```
//!
//! Starts an arena server in a process of its own, plays against it, and writes `DIR/NAME.noise`, a tape of all seconds but
//! the first ten. With `--delay`, all that the server sends comes so much later, as from a server that is far away. With
//! `--beside`, two servers have half of the players each at the same time, and `NAME.noise` and `NAME-b.noise` are the two
//! sides. What is said at the end is whether the run was valid.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arena::{Arena, Options, serve};
use loadkit::core::{
    Conditions, Control, Failure, Host, Job, Judge, MetricSink, RunId, Seed, SeriesStep, Snapshot, Target, run,
};
use loadkit::{Os, Plan};
use loadkit_tests::noise::Tape;

/// Seconds at the beginning: the ramp, and the first matches.
const LEFT_OUT: usize = 10;

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
    let (seconds, bots, seed) = (number("--seconds", 310)?, number("--bots", 300)?, number("--seed", 1)?);
    let delay = rest.iter().position(|arg| arg == "--delay").and_then(|at| rest.get(at + 1).cloned());
    let beside = rest.iter().any(|arg| arg == "--beside");
    let sides: &[&str] = if beside { &["", "-b"] } else { &[""] };
    let mut players = Vec::new();
    for (i, side) in (0..).zip(sides) {
        let path = PathBuf::from(dir).join(format!("{name}{side}.noise"));
        let (bots, seed) = (bots / sides.len() as u64, Seed(2 * seed + i));
        let delay = delay.clone();
        let play = move || play(&path, seconds, bots, seed, delay.as_deref()).map_err(|error| error.to_string());
        players.push(thread::spawn(play));
    }
    for player in players {
        player.join().map_err(|_| "a run has panicked")??;
    }
    Ok(())
}

/// One server, and one run against it.
fn play(path: &Path, seconds: u64, bots: u64, seed: Seed, delay: Option<&str>) -> Result<()> {
    let server = Server::start(delay)?;
    let plan = Plan::builder().bots(bots).ramp(Duration::from_secs(5)).duration(Duration::from_secs(seconds)).party(2);
    let plan = plan.interval(Duration::from_secs(1)).build()?;
    let planned = plan.duration();
    let job = Job {
        shards: 2,
        ..Job::whole(RunId(seed.0), plan, Target::new(&server.addr, vec![server.addr.parse()?]), seed)
    };
    let host: Arc<dyn Host> = Arc::new(Os);
    let mut recorder = Recorder { judge: Judge::new(&[], Duration::from_secs(1)), tape: Tape::default() };
    let ended = run(&Arc::new(Arena), &job, &host, &Control::new(), &mut recorder)?;
    let judgement = recorder.judge.judgement(&Conditions::new(planned, &ended, 2, true));
    for seconds in recorder.tape.steps.values_mut() {
        seconds.resize_with(usize::try_from(planned.as_secs())?, SeriesStep::default);
        seconds.drain(..LEFT_OUT);
    }
    std::fs::write(path, recorder.tape.write()?)?;
    eprintln!("{}: {} {}", path.display(), judgement.verdict, judgement.headline());
    Ok(())
}

/// Keeps every second.
struct Recorder {
    judge: Judge,
    tape: Tape,
}

#[async_trait::async_trait]
impl MetricSink for Recorder {
    async fn publish(&mut self, snapshot: &Snapshot) -> std::result::Result<(), Failure> {
        self.judge.apply(snapshot);
        let second = usize::try_from(snapshot.to_us.saturating_sub(1) / 1_000_000).unwrap_or(usize::MAX);
        for (step, delta) in &snapshot.steps {
            let seconds = self.tape.steps.entry(step.clone()).or_default();
            if seconds.len() <= second {
                seconds.resize_with(second + 1, SeriesStep::default);
            }
            seconds[second].response.merge(&delta.response);
            seconds[second].failed += delta.failures.iter().map(|(_, count)| count).sum::<u64>();
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
    fn start(delay: Option<&str>) -> Result<Server> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", "--listen", "127.0.0.1:0", "--until-eof"])
            .args(delay.into_iter().flat_map(|time| ["--delay", time]))
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
