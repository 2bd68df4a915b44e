//! The arena as a process: this program itself, where it is told so.
//!
//! Cargo builds no other package's binary for a test, and to build it from within one would compile half the workspace with other
//! features.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arena::{Arena, Options, serve};
use loadkit::cli::Client;

/// Its arguments, a line each.
const ARGS: &str = "ARENA_ARGS";

/// A command of this name in a folder: the arena, server and client in one.
pub(crate) fn arena(folder: &Path) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = folder.join("arena");
    let run = format!("exec '{}' itself::the_arena --exact --nocapture", own.display());
    let script = format!("#!/bin/sh\nexport {ARGS}=\"$(printf '%s\\n' \"$@\")\"\n{run}\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Nothing to test: what this program is when the command of [`arena`] starts it.
#[test]
fn the_arena() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<&str> = args.lines().collect();
    let client = Client::new("arena", "0.0.0").scenario(Arena);
    let code = match args.split_first() {
        Some((&"server", args)) => {
            let served = Options::parse(args).map_err(|error| error.to_string());
            let served = served.and_then(|options| serve::command(options).map_err(|error| error.to_string()));
            served.map_or_else(
                |why| {
                    eprintln!("error: {why}");
                    2
                },
                |()| 0,
            )
        }
        _ => {
            let code = client.main_with([&["arena"], &args[..]].concat());
            (0..=3).find(|n| code == ExitCode::from(*n)).map_or(101, i32::from)
        }
    };
    std::process::exit(code);
}
