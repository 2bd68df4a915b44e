//! The stamp of a build: which commit it is of, and how it was built, for the binary to carry along.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest;

/// Stamps a load client, from its `build.rs`: `loadkit_build::Stamp::new().emit()`.
///
/// What the stamp says is found out here, and may be said in the environment instead, for builds without a repository:
///
/// | | found out from | or said in |
/// |---|---|---|
/// | commit | `git` | `LOADKIT_COMMIT` |
/// | whether files differ from it | `git` | `LOADKIT_DIRTY`: 1 or 0 |
/// | the game's build | | `LOADKIT_CLIENT_BUILD` |
/// | time | the clock | `LOADKIT_TIME`, or else `SOURCE_DATE_EPOCH`: seconds since 1970 |
///
/// A debug build finds out neither commit nor time, or each commit would compile it anew, and all that depends on it; what
/// the environment says it has too.
///
/// The fingerprint of a Protobuf schema needs nothing here: compiling it tells it. The binary shows it all with `info`,
/// and each of its reports has it.
#[derive(Clone, Debug, Default)]
pub struct Stamp {
    protocol: Vec<PathBuf>,
}

impl Stamp {
    /// A stamp without a fingerprint of its own.
    pub fn new() -> Stamp {
        Stamp::default()
    }

    /// With a fingerprint of these files, which say what goes over the wire where that is not Protobuf. A server that tells
    /// the fingerprint of the same files can be compared with the client. Line ends do not count.
    pub fn protocol<P: Into<PathBuf>>(mut self, files: impl IntoIterator<Item = P>) -> Stamp {
        self.protocol = files.into_iter().map(Into::into).collect();
        self
    }

    /// Tells it to cargo, and with it what to look at for changes. What cannot be found out is left out.
    pub fn emit(&self) {
        for line in self.lines(&|name| env::var(name).ok()) {
            println!("cargo::{line}");
        }
    }

    fn lines(&self, variable: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let mut lines: Vec<String> =
            ["LOADKIT_COMMIT", "LOADKIT_DIRTY", "LOADKIT_CLIENT_BUILD", "LOADKIT_TIME", "SOURCE_DATE_EPOCH"]
                .map(|name| format!("rerun-if-env-changed={name}"))
                .into();
        for place in ["build.rs", "Cargo.toml", "src"].map(PathBuf::from).iter().chain(&self.protocol) {
            lines.push(format!("rerun-if-changed={}", place.display()));
        }
        if !is_debug(variable) {
            lines.extend(git_files().iter().map(|file| format!("rerun-if-changed={}", file.display())));
        }
        if !self.protocol.is_empty() {
            lines.push(match of_files(&self.protocol) {
                Ok(protocol) => format!("rustc-env=LOADKIT_PROTOCOL={protocol}"),
                Err(why) => format!("warning=the build has no fingerprint of its protocol: {why}"),
            });
        }
        lines.push(format!("rustc-env=LOADKIT_STAMP={}", self.text(variable)));
        lines
    }

    /// `key=value` pairs with a semicolon between.
    fn text(&self, variable: &dyn Fn(&str) -> Option<String>) -> String {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        let looks = !is_debug(variable);
        let commit = said("LOADKIT_COMMIT").or_else(|| git(&["rev-parse", "HEAD"]).filter(|_| looks));
        let dirty = said("LOADKIT_DIRTY").map(|dirty| dirty != "0").or_else(|| {
            commit.as_ref().filter(|_| looks)?;
            git(&["status", "--porcelain", "--untracked-files=no"]).map(|changes| !changes.is_empty())
        });
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let time: Option<u64> =
            said("LOADKIT_TIME").or_else(|| said("SOURCE_DATE_EPOCH")).and_then(|time| time.trim().parse().ok());
        let mut text = format!("built={}", time.unwrap_or_else(|| if looks { now() } else { 0 }));
        for (key, value) in [
            ("commit", commit),
            ("dirty", dirty.map(|dirty| u8::from(dirty).to_string())),
            ("build", said("LOADKIT_CLIENT_BUILD")),
            ("target", variable("TARGET")),
            ("profile", variable("PROFILE")),
        ] {
            if let Some(value) = value {
                let value: String = value.chars().filter(|c| !c.is_control() && *c != ';').take(200).collect();
                let _ = write!(text, ";{key}={}", value.trim());
            }
        }
        text
    }
}

fn is_debug(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("PROFILE").as_deref() == Some("debug")
}

/// The fingerprint of files.
fn of_files(files: &[PathBuf]) -> Result<String, String> {
    let read = |file: &PathBuf| match std::fs::read(file) {
        Ok(bytes) => Ok(bytes.into_iter().filter(|byte| *byte != b'\r').collect::<Vec<u8>>()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    };
    let files: Vec<Vec<u8>> = files.iter().map(read).collect::<Result<_, _>>()?;
    Ok(digest::fingerprint(files.iter().map(Vec::as_slice)))
}

/// What git says, if there is one, and a repository.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The files that change with the commit.
fn git_files() -> Vec<PathBuf> {
    let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) else { return Vec::new() };
    let mut files = vec![Path::new(&folder).join("HEAD")];
    if let (Some(branch), Some(common)) =
        (git(&["symbolic-ref", "-q", "HEAD"]), git(&["rev-parse", "--git-common-dir"]))
    {
        files.push(Path::new(&common).join(branch));
    }
    files.retain(|file| file.exists());
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(said: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| said.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn what_the_environment_says_goes_first() {
        let said = with(&[
            ("LOADKIT_COMMIT", "abc123"),
            ("LOADKIT_DIRTY", "0"),
            ("LOADKIT_CLIENT_BUILD", "2.31;0\n"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("TARGET", "x86_64-unknown-linux-musl"),
            ("PROFILE", "release"),
        ]);
        let text =
            "built=1700000000;commit=abc123;dirty=0;build=2.310;target=x86_64-unknown-linux-musl;profile=release";
        assert_eq!(Stamp::new().text(&said), text);
    }

    #[test]
    fn a_debug_build_is_the_same_after_a_commit() {
        assert_eq!(Stamp::new().text(&with(&[("PROFILE", "debug")])), "built=0;profile=debug");
        let told = with(&[("PROFILE", "debug"), ("LOADKIT_COMMIT", "abc"), ("LOADKIT_DIRTY", "1")]);
        assert_eq!(Stamp::new().text(&told), "built=0;commit=abc;dirty=1;profile=debug");
        let lines = Stamp::new().lines(&with(&[("PROFILE", "debug")]));
        assert!(lines.iter().all(|line| !line.contains("HEAD")), "{lines:?}");
    }

    #[test]
    fn files_that_are_not_there_are_a_warning() {
        let lines = Stamp::new().protocol(["no/such.rs"]).lines(&with(&[]));
        assert!(lines.iter().any(|line| line.starts_with("warning=the build has no fingerprint")), "{lines:?}");
        let lines = Stamp::new().protocol(["src/lib.rs"]).lines(&with(&[]));
        assert!(lines.iter().any(|line| line.starts_with("rustc-env=LOADKIT_PROTOCOL=")), "{lines:?}");
    }
}
