//! `arena` without arguments: the server in a process of its own, 1,000 bots against it, and what both have counted.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use loadkit::cli::{Client, PlayArgs, RunArgs};

use crate::agree::Comparison;
use crate::counts::Counts;

/// Plays; the exit code: that of the run, or 1 if the counts differ.
///
/// # Errors
/// When the server or the run cannot start.
pub fn demo(client: &Client) -> Result<u8, Box<dyn Error>> {
    let server = ServerProcess::start()?;
    println!("The arena's server plays at {}. Misbehaviour to try: `arena server --help`.", server.addr);
    let finished = client.run(&RunArgs {
        play: PlayArgs {
            target: Some(server.addr.clone()),
            party: Some(3),
            report: PathBuf::from("report"),
            ..PlayArgs::default()
        },
        bots: Some(1_000),
        ramp: Some(Duration::from_secs(4)),
        duration: Some(Duration::from_secs(20)),
        ..RunArgs::default()
    })?;
    let counts = server.stop()?;
    let report = &finished.report;
    let step = |name: &str| report.steps.get(name).map_or((0, 0), |step| (step.succeeded, step.failed));
    let comparison = Comparison::new(&counts, step, report.players.cut_off);
    println!("\n{comparison}");
    println!(
        "The server began {} matches and sent {} snapshots; {} bots went without a word.",
        counts.matches, counts.snapshots, counts.disconnects
    );
    Ok(if comparison.agrees() { finished.exit_code() } else { finished.exit_code().max(1) })
}

/// The server in a process of its own. It ends when this is dropped, in any case.
struct ServerProcess {
    child: Child,
    output: BufReader<ChildStdout>,
    addr: String,
}

impl ServerProcess {
    fn start() -> Result<ServerProcess, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", "--listen", "127.0.0.1:0", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the bots: the server shall be there while they leave.
            .process_group(0)
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("the server has no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let addr = line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        if addr.is_empty() {
            return Err("the server did not start".into());
        }
        Ok(ServerProcess { child, output, addr })
    }

    /// Ends the server; what it has done.
    fn stop(mut self) -> Result<Counts, Box<dyn Error>> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text)?;
        self.child.wait()?;
        Ok(text.parse()?)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
