//! Packages of other languages that tests need: fetched once, into a folder below `target`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// Packages of one language. Tests are told by `variable` in which folder they are; without it they say "left out" and
/// pass.
struct Packages {
    variable: &'static str,
    /// The folder below `target/languages`. The versions are part of its name: others are fetched anew.
    folder: &'static str,
    /// The program that must be there: the language itself.
    program: &'static str,
    /// How its packages come into the folder.
    fetch: fn(&Path) -> Command,
    /// What is left out without them.
    used_by: &'static str,
}

const PACKAGES: &[Packages] = &[
    Packages {
        variable: "LOADKIT_TEST_PROTOBUF_PYTHON",
        folder: "python-protobuf-7.36.2",
        program: "python3",
        fetch: |folder| pip(folder, &["protobuf==7.36.2"]),
        used_by: "the tests against Google's Protobuf for Python",
    },
    Packages {
        variable: "LOADKIT_TEST_PROTOBUF_NODE",
        folder: "node-protobuf-4.0.3-es-2.17.0",
        program: "node",
        fetch: |folder| npm(folder, &["google-protobuf@4.0.3", "@bufbuild/protobuf@2.17.0"]),
        used_by: "the tests against Protobuf for JavaScript",
    },
    Packages {
        variable: "LOADKIT_TEST_HDRHISTOGRAM_PYTHON",
        folder: "python-hdrhistogram-0.10.8",
        program: "python3",
        fetch: |folder| pip(folder, &["hdrhistogram==0.10.8"]),
        used_by: "the tests against HdrHistogram for Python",
    },
    Packages {
        variable: "LOADKIT_TEST_HDRHISTOGRAM_NODE",
        folder: "node-hdrhistogram-3.0.1",
        program: "node",
        fetch: |folder| npm(folder, &["hdr-histogram-js@3.0.1"]),
        used_by: "the tests against HdrHistogram for JavaScript",
    },
    Packages {
        variable: "LOADKIT_TEST_SINKS_PYTHON",
        folder: "python-opentelemetry-proto-1.45.2-prometheus-client-0.26.0",
        program: "python3",
        fetch: |folder| pip(folder, &["opentelemetry-proto==1.45.2", "prometheus-client==0.26.0", "protobuf==7.36.2"]),
        used_by: "the tests against the Python packages of OTLP and Prometheus",
    },
    Packages {
        variable: "LOADKIT_TEST_SINKS_NODE",
        folder: "node-statsd-0.9.0",
        program: "node",
        fetch: |folder| npm(folder, &["statsd@0.9.0"]),
        used_by: "the tests against the StatsD daemon",
    },
    Packages {
        variable: "LOADKIT_TEST_AXE_NODE",
        folder: "node-axe-core-4.14.1",
        program: "node",
        fetch: |folder| npm(folder, &["axe-core@4.14.1"]),
        used_by: "the search for what keeps people out of the dashboard",
    },
    Packages {
        variable: "LOADKIT_TEST_MINISTACK",
        folder: "python-ministack-1.5.33-sam-1.115.0-cfn-lint-1.58.0",
        program: "python3",
        fetch: |folder| pip(folder, &["ministack==1.5.33", "aws-sam-translator==1.115.0", "cfn-lint==1.58.0"]),
        used_by: "the tests against ministack, an emulator of AWS, and of the template for AWS",
    },
    Packages {
        variable: "LOADKIT_TEST_OPENAPI_PYTHON",
        folder: "python-openapi-spec-validator-0.9.0",
        program: "python3",
        fetch: |folder| pip(folder, &["openapi-spec-validator==0.9.0"]),
        used_by: "the test of the fleet's OpenAPI document",
    },
    Packages {
        variable: "LOADKIT_TEST_CYCLONEDX_PYTHON",
        folder: "python-cyclonedx-python-lib-11.12.0",
        program: "python3",
        fetch: |folder| pip(folder, &["cyclonedx-python-lib[json-validation]==11.12.0"]),
        used_by: "the test of a package's bill of materials",
    },
];

/// Brings Python packages into a folder.
fn pip(folder: &Path, packages: &[&str]) -> Command {
    let mut pip = bounded("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--timeout", "20", "--retries", "1", "--only-binary", ":all:", "--target"]);
    pip.arg(folder).args(packages);
    pip
}

/// Brings Node packages into a folder.
fn npm(folder: &Path, packages: &[&str]) -> Command {
    let mut npm = bounded("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--loglevel", "error"]);
    npm.args(["--omit", "optional", "--fetch-timeout", "20000", "--fetch-retries", "1", "--prefix"]);
    npm.arg(folder).args(packages);
    npm
}

/// What the tests are told, and what they must do without, one line each.
pub(crate) fn prepare() -> (Vec<(&'static str, PathBuf)>, Vec<String>) {
    let below = target().join("languages");
    let (mut variables, mut left_out) = (Vec::new(), Vec::new());
    for packages in PACKAGES {
        let own = env::var_os(packages.variable).map(PathBuf::from);
        match own.map_or_else(|| packages.fetched(&below), Ok) {
            Ok(folder) => variables.push((packages.variable, folder)),
            Err(why) => left_out.push(packages.left_out(&why)),
        }
    }
    (variables, left_out)
}

impl Packages {
    /// The folder with the packages, fetched if they are not there yet.
    fn fetched(&self, below: &Path) -> Result<PathBuf, String> {
        let folder = below.join(self.folder);
        if folder.exists() {
            return Ok(folder);
        }
        process::output(process::command(self.program).arg("--version"))?;
        // A folder of this name is a whole one: what was cut short lies beside it and is begun anew.
        let begun = below.join(format!("{}.begun", self.folder));
        let failed = |error: std::io::Error| format!("{}: {error}", begun.display());
        if begun.exists() {
            fs::remove_dir_all(&begun).map_err(failed)?;
        }
        fs::create_dir_all(&begun).map_err(failed)?;
        process::output(&mut (self.fetch)(&begun)).map_err(|why| telling_line(&why))?;
        fs::rename(&begun, &folder).map_err(failed)?;
        Ok(folder)
    }

    fn left_out(&self, why: &str) -> String {
        let Packages { used_by, program, variable, .. } = self;
        format!(
            "{used_by}: their packages could not be fetched ({why}); they need {program}, its package manager and a \
             network once, or {variable} with a folder in which they are"
        )
    }
}

/// A program that gets no longer than two minutes, so that a bad network gives an answer and not a long wait.
fn bounded(program: &str) -> Command {
    let mut command = process::command("timeout");
    command.args(["--kill-after=5", "120", program]);
    command
}

/// The line that names the error: package managers say much beside it.
fn telling_line(text: &str) -> String {
    let telling = text.lines().find(|line| line.to_ascii_lowercase().contains("error"));
    telling.map_or_else(|| process::last_line(text), |line| line.trim().to_string())
}

/// Where cargo builds.
fn target() -> PathBuf {
    process::root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(program: &'static str, fetch: fn(&Path) -> Command) -> Packages {
        Packages { variable: "LOADKIT_TEST_X", folder: "x-1", program, fetch, used_by: "the tests of x" }
    }

    /// A folder for one test, empty.
    fn folder(name: &str) -> PathBuf {
        let folder = target().join("xtask-tests").join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn touch(folder: &Path) -> Command {
        let mut touch = process::command("touch");
        touch.arg(folder.join("package"));
        touch
    }

    fn failing(folder: &Path) -> Command {
        let mut shell = process::command("sh");
        shell
            .args(["-c", "touch \"$0/half\"; echo busy >&2; echo error: no network >&2; echo bye >&2; exit 1"])
            .arg(folder);
        shell
    }

    #[test]
    fn packages_are_fetched_once() {
        let below = folder("once");
        let whole = packages("true", touch).fetched(&below).unwrap();
        assert!(whole.join("package").exists());
        assert_eq!(packages("true", failing).fetched(&below), Ok(whole), "what is there is not fetched");
    }

    #[test]
    fn what_was_cut_short_is_not_taken_and_begun_anew() {
        let below = folder("short");
        assert_eq!(packages("true", failing).fetched(&below), Err("error: no network".to_string()));
        let whole = packages("true", touch).fetched(&below).unwrap();
        assert!(whole.join("package").exists() && !whole.join("half").exists());
    }

    #[test]
    fn what_is_missing_is_named_with_what_would_bring_it() {
        let why = packages("no-such-language", touch).fetched(&folder("missing")).unwrap_err();
        assert!(why.contains("no-such-language"), "{why}");
        let line = packages("python3", touch).left_out("no network");
        assert!(line.contains("the tests of x: their packages could not be fetched (no network)"), "{line}");
        assert!(line.contains("LOADKIT_TEST_X"), "{line}");
    }
}
