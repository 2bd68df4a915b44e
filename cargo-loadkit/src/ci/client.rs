//! The load client: built, packaged, and started to play.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::group::Group;
use super::halt::Halt;
use super::order::{Base, Order};
use super::server::Server;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::package::project::Project;
use crate::settings::SettingArgs;

/// A client that was told to stop has so long to let its players leave and to report.
const LEAVE: Duration = Duration::from_secs(60);
/// What builds has so long to end.
const END: Duration = Duration::from_secs(5);
/// So many of its last lines are kept.
const LINES: usize = 30;
/// What a client says of a baseline of another plan.
const APART: &str = "cannot be compared; what differs";
/// No result of ours is longer.
const MAX_RESULT: u64 = 1 << 20;

/// Builds the client of the project; where it is.
pub(super) async fn build(order: &Order, halt: &mut Halt, output: &Output) -> Result<PathBuf, Failure> {
    let project = Project::find(order.package.as_deref())?;
    let profile = &order.cargo_profile;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", project.package.name.as_str(), "--bin", &project.bin, "--profile", profile]);
    if output.is_json() {
        cargo.arg("--quiet");
    }
    cargo
        .current_dir(&project.metadata.workspace_root)
        .env("LOADKIT_CLIENT_BUILD", order.build.as_deref().unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    output.say(format_args!("building {}", project.bin));
    let status = finish(&mut cargo, "cargo", "while the client was built", halt).await?;
    if !status.success() {
        return Err(Failure::failed(format!("the load client {} does not build", project.bin)));
    }
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(project.metadata.target_directory.as_std_path().join(folder).join(&project.bin))
}

/// Packages it, as `cargo loadkit package` does; what that has said.
pub(super) async fn package(
    order: &Order,
    settings: &SettingArgs,
    halt: &mut Halt,
    output: &Output,
) -> Result<Value, Failure> {
    let own = env::current_exe().map_err(|error| Failure::missing(format!("this program is not there: {error}")))?;
    let mut command = Command::new(own);
    command
        .args(["package", "--json", "--cargo-profile", &order.cargo_profile])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let one =
        |name: &str, value: &Option<String>| value.iter().map(|value| format!("{name}={value}")).collect::<Vec<_>>();
    command.args(one("--profile", &settings.profile));
    command.args(one("--config", &settings.config.as_ref().map(|path| path.display().to_string())));
    command.args(settings.set.iter().map(|set| format!("--set={set}")));
    output.say("packaging the client");
    let mut group = start(&mut command, "this program")?;
    let mut said = String::new();
    let Some(stdout) = group.stdout() else { return Err(Failure::missing("a pipe is missing")) };
    let read = async {
        let _ = stdout.take(MAX_RESULT).read_to_string(&mut said).await;
        group.wait().await
    };
    let status = tokio::select! {
        status = read => status,
        by = halt.said() => {
            group.stop(END).await;
            return Err(Halt::stopped(by, "while the client was packaged"));
        }
    };
    group.stop(END).await;
    let code = status.ok().and_then(|status| status.code());
    let result: Value = serde_json::from_str(&said).unwrap_or_default();
    if code == Some(0) {
        return Ok(result);
    }
    let why = result["error"].as_str().unwrap_or("it does not say why").to_owned();
    if code == Some(1) && result["remedy"].is_null() {
        // It does not build, so leaving the package out would change nothing.
        return Err(Failure::failed(format!("the load client cannot be played with: {why}")));
    }
    let what = format!("the client cannot be packaged: {why}");
    let failure = match code {
        Some(1) => Failure::failed(what),
        Some(2) => Failure::wrong_use(what),
        _ => Failure::missing(what),
    };
    let remedy = result["remedy"].as_str().map(|remedy| format!("{remedy}; or leave it out: --no-package"));
    Err(failure.mended_by(remedy.unwrap_or_else(|| "leave it out: --no-package".to_owned())))
}

/// The program that was packaged, if this machine can run it: then it need not be compiled a second time, and what plays here is what
/// plays in a fleet.
pub(super) fn that_runs_here(packaged: &Value) -> Option<PathBuf> {
    let triple = packaged["triple"].as_str()?;
    let is_here = cfg!(target_os = "linux") && triple.split('-').next() == Some(env::consts::ARCH);
    is_here.then(|| packaged["binary"].as_str().map(PathBuf::from)).flatten()
}

/// How a play ended.
#[derive(Debug)]
pub(super) enum Played {
    /// The client has judged its run, and written a report.
    Judged,
    /// A server ended in the middle of it.
    Broken(Failure),
}

/// Has the client play, once, against these servers.
pub(super) async fn play(
    order: &Order,
    client: &Path,
    servers: &mut [Server],
    args: &[String],
    halt: &mut Halt,
    output: &Output,
) -> Result<Played, Failure> {
    let mut command = Command::new(client);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(build) = &order.build {
        command.env("LOADKIT_BUILD", build);
    }
    let mut group = start(&mut command, &format!("the client {}", client.display()))?;
    let stderr = group.stderr();
    let listening = hear(stderr, *output);
    tokio::pin!(listening);
    let mut last = Vec::new();
    let mut is_heard = false;
    let mut broken = None;
    let status = loop {
        tokio::select! {
            lines = &mut listening, if !is_heard => { last = lines; is_heard = true; }
            status = group.wait(), if is_heard => break status,
            failure = first_end(servers), if broken.is_none() => {
                output.say("a server has ended: the players are asked to leave");
                group.signal(Signal::SIGINT);
                broken = Some(failure);
            }
            by = halt.said() => {
                output.say(format_args!("{by}: the players are asked to leave; once more ends at once"));
                group.signal(Signal::SIGINT);
                let ended = async {
                    tokio::select! {
                        _ = timeout(LEAVE, async { (&mut listening).await; group.wait().await }) => {}
                        _ = halt.said() => {}
                    }
                };
                ended.await;
                group.stop(Duration::ZERO).await;
                return Err(Halt::stopped(by, "while the players played"));
            }
        }
    };
    group.stop(END).await;
    if let Some(failure) = broken {
        return Ok(Played::Broken(failure));
    }
    match status.ok().and_then(|status| status.code()) {
        Some(0 | 1 | 3) if order.report.join("report.json").is_file() => Ok(Played::Judged),
        code => Err(refused(code, &last, order)),
    }
}

/// The first of the servers that ends; never if none does.
async fn first_end(servers: &mut [Server]) -> Failure {
    match servers {
        [one] => one.wait().await,
        [one, other] => tokio::select! {
            end = one.wait() => end,
            end = other.wait() => end,
        },
        _ => std::future::pending().await,
    }
}

/// Why a client has not played.
fn refused(code: Option<i32>, last: &[String], order: &Order) -> Failure {
    let from = last.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let said = last.get(from..).unwrap_or_default().join("\n  ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    match code {
        Some(2) => {
            let failure = Failure::wrong_use(format!("the load client refuses: {said}"));
            match &order.base {
                Base::Stored(baselines) if said.contains(APART) => failure.mended_by(format!(
                    "play what they were of; or let a run of the plan of today be the first: rm -r {}",
                    baselines.folder.display()
                )),
                _ => failure,
            }
        }
        Some(3) => Failure::invalid(format!("the load client could not play: {said}")),
        Some(code) => Failure::missing(format!("the load client ended with exit code {code} and no report: {said}")),
        None => Failure::missing(format!("the load client was killed: {said}")),
    }
}

/// Hands on what it says, line by line; the last of it.
async fn hear(stderr: Option<tokio::process::ChildStderr>, output: Output) -> Vec<String> {
    let mut last = std::collections::VecDeque::new();
    let Some(stderr) = stderr else { return Vec::new() };
    let mut lines = BufReader::new(stderr).lines();
    // What is no text is no line of ours.
    while let Ok(Some(line)) = lines.next_line().await {
        output.say(&line);
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.into()
}

/// Runs a command to its end, unless it is to stop.
async fn finish(command: &mut Command, name: &str, when: &str, halt: &mut Halt) -> Result<ExitStatus, Failure> {
    let mut group = start(command, name)?;
    let status = tokio::select! {
        status = group.wait() => status,
        by = halt.said() => {
            group.stop(END).await;
            return Err(Halt::stopped(by, when));
        }
    };
    group.stop(END).await;
    status.map_err(|error| Failure::missing(format!("{name} cannot be waited for: {error}")))
}

fn start(command: &mut Command, name: &str) -> Result<Group, Failure> {
    Group::start(command).map_err(|error| Failure::missing(format!("{name} cannot be started: {error}")))
}

/// The code with which a pipeline ends, from that of a report.
pub(super) fn exit(verdict: loadkit_core::Verdict) -> Exit {
    match verdict {
        loadkit_core::Verdict::Pass => Exit::Done,
        loadkit_core::Verdict::Fail => Exit::Failed,
        loadkit_core::Verdict::Invalid => Exit::Invalid,
    }
}
