//! `crate -> static binary`: built so that the same commit gives the same bytes, wherever its folder is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::project::Project;
use super::target::Triple;
use crate::exit::Failure;
use crate::output::Output;

/// What goes into the stamp, and is the same for each packaging of a commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) commit: String,
    pub(super) dirty: bool,
    /// When the commit was made, seconds since 1970.
    pub(super) time: u64,
}

impl Source {
    /// What git says of the crate's folder, and what the environment says in its place.
    pub(super) fn of(folder: &Path) -> Source {
        let git = |args: &[&str]| {
            let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let said = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let commit = said("LOADKIT_COMMIT").or_else(|| git(&["rev-parse", "HEAD"])).unwrap_or_default();
        let dirty = said("LOADKIT_DIRTY").map(|dirty| dirty != "0").unwrap_or_else(|| {
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty())
        });
        let time = said("SOURCE_DATE_EPOCH").or_else(|| git(&["log", "-1", "--format=%ct"]));
        let time = time.and_then(|time| time.trim().parse().ok()).unwrap_or(0);
        Source { commit, dirty, time }
    }
}

/// How it is built.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) triple: &'a Triple,
    pub(super) features: &'a [&'a str],
    pub(super) profile: &'a str,
    /// The game's build that it belongs to.
    pub(super) build: Option<&'a str>,
    pub(super) source: &'a Source,
}

/// Builds the binary; where it is.
pub(super) fn build(project: &Project, order: &Order<'_>, output: &Output) -> Result<PathBuf, Failure> {
    let Order { triple, features, profile, build, source } = order;
    let Project { package, bin, metadata } = project;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--package",
        package.name.as_str(),
        "--bin",
        bin,
        "--profile",
        profile,
        "--target",
        &triple.name,
    ]);
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    if metadata.workspace_root.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    if output.is_json() {
        cargo.arg("--quiet");
    }
    cargo
        .current_dir(&metadata.workspace_root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(metadata.workspace_root.as_std_path()))
        // Not `SOURCE_DATE_EPOCH`, for which C compilers are asked again: each commit would compile half of all anew.
        .env("LOADKIT_TIME", source.time.to_string())
        .env("LOADKIT_COMMIT", &source.commit)
        .env("LOADKIT_DIRTY", u8::from(source.dirty).to_string())
        .env("LOADKIT_CLIENT_BUILD", build.unwrap_or_default())
        .envs(triple.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // Standard output is for the result.
        .stdout(Stdio::null());
    output.say(format_args!("building {bin} for {}", triple.name));
    let status = cargo.status().map_err(|error| Failure::missing(format!("cargo cannot be started: {error}")))?;
    if !status.success() {
        return Err(Failure::failed(format!("{bin} does not build for {}", triple.name)));
    }
    let folder = if *profile == "dev" { "debug" } else { profile };
    Ok(metadata.target_directory.as_std_path().join(&triple.name).join(folder).join(bin))
}

/// Static, without symbols, and without the paths of this machine, which would be different bytes on another.
fn flags(workspace: &Path) -> OsString {
    let mut flags: Vec<OsString> = match env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        Some(flags) => vec![flags],
        None => env::var("RUSTFLAGS").unwrap_or_default().split_whitespace().map(OsString::from).collect(),
    };
    for flag in ["-Ctarget-feature=+crt-static", "-Cstrip=symbols"] {
        flags.push(flag.into());
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let of_home = |variable: &str, folder: &str| {
        env::var_os(variable).map(PathBuf::from).or_else(|| home.as_ref().map(|home| home.join(folder)))
    };
    let places = [
        (Some(workspace.to_owned()), "/src"),
        (of_home("CARGO_HOME", ".cargo"), "/cargo"),
        (of_home("RUSTUP_HOME", ".rustup"), "/rustup"),
    ];
    for (place, name) in places {
        if let Some(place) = place {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(place);
            flag.push(format!("={name}"));
            flags.push(flag);
        }
    }
    flags.join(&OsString::from("\x1f"))
}
