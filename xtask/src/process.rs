//! Starting other programs from the root of the repository.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The root of the repository. Cargo tells where the manifest of this crate is; without cargo, where we are.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest.and_then(|dir| dir.parent().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."))
}

/// The cargo that runs us, with these arguments.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = command(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(args);
    cargo
}

/// A program that will run in the root of the repository.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(root());
    // Cargo tells us about our own package; what we start shall not take that for its own.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it with its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|why| cannot_start(command, &why))?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

/// Runs it and returns what it prints on stdout. Its stderr is in the error if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).output().map_err(|why| cannot_start(command, &why))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("it ended with {}: {}", output.status, errors.trim()))
}

/// Runs it, passes each line of its stdout on at once, and shows it to `see`.
pub(crate) fn stream(command: &mut Command, mut see: impl FnMut(&str)) -> Result<(), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|why| cannot_start(command, &why))?;
    if let Some(pipe) = child.stdout.take() {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // A reader that went away must not end the tests half-way: what cannot be written is not.
        let mut out = std::io::stdout();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let _ = out.write_all(&line).and_then(|()| out.flush());
            see(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().map_err(|why| format!("its end could not be awaited: {why}"))?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

/// The last line of what a program has said, which says most of why it failed.
pub(crate) fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_string()
}

fn cannot_start(command: &Command, why: &std::io::Error) -> String {
    format!("`{}` could not be started: {why}", command.get_program().to_string_lossy())
}
