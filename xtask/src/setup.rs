//! What the tests need and a fresh Debian machine has not: found, installed, fetched or named.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{languages, process};

/// A program that tests drive. They are told where it is by `variable`; without it they say "left out" and pass.
struct Program {
    variable: &'static str,
    /// Where Debian's `package` puts it.
    path: &'static str,
    package: &'static str,
    /// What is left out without it.
    used_by: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        variable: "LOADKIT_TEST_TEEWORLDS",
        path: "/usr/games/teeworlds-server",
        package: "teeworlds-server",
        used_by: "the tests against the real Teeworlds server",
    },
    Program {
        variable: "LOADKIT_TEST_CHROMIUM",
        path: "/usr/bin/chromium",
        package: "chromium",
        used_by: "the tests that open the report in a browser",
    },
    Program {
        variable: "LOADKIT_TEST_CHROMEDRIVER",
        path: "/usr/bin/chromedriver",
        package: "chromium-driver",
        used_by: "the tests that drive the dashboard in a browser",
    },
    Program {
        variable: "LOADKIT_TEST_PROMETHEUS",
        path: "/usr/bin/prometheus",
        package: "prometheus",
        used_by: "the tests against a real Prometheus server",
    },
    Program {
        variable: "LOADKIT_TEST_REGISTRY",
        path: "/usr/bin/docker-registry",
        package: "docker-registry",
        used_by: "the test that publishes an image to a real registry",
    },
];

/// A program that tests use where it is there, and can do its work there: what they do without it is the same by other means, so nothing is
/// left out. They find it by themselves, and say what they have used.
const WELCOME: &[(&str, &str)] = &[("/usr/sbin/runc", "runc")];

/// What the tests are told, and what they must do without.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Setup {
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
    /// One line each: what is left out, why, and the command that would bring it.
    pub(crate) left_out: Vec<String>,
}

/// Finds the programs and packages, and gets those that are missing. Prints nothing, because it runs beside the first steps.
pub(crate) fn prepare() -> Setup {
    let given = |variable: &str| env::var_os(variable).map(PathBuf::from);
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|program| given(program.variable).is_none() && !Path::new(program.path).exists())
        .map(|program| program.package)
        .collect();
    let installed = if missing.is_empty() { Ok(()) } else { install(&missing) };
    let welcome: Vec<&str> =
        WELCOME.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    if !welcome.is_empty() {
        // The network may be away, or containers not allowed: the tests say what they did instead.
        let _ = install(&welcome);
    }
    let mut setup = found(given, Path::exists, installed.err().as_deref());
    let (variables, left_out) = languages::prepare();
    setup.variables.extend(variables);
    setup.left_out.extend(left_out);
    setup
}

/// The programs that are there already, by the variables that name them.
pub(crate) fn there() -> Vec<(&'static str, PathBuf)> {
    found(|variable| env::var_os(variable).map(PathBuf::from), Path::exists, None).variables
}

/// `why_not` is why the packages could not be installed, if they could not.
fn found(given: impl Fn(&str) -> Option<PathBuf>, exists: impl Fn(&Path) -> bool, why_not: Option<&str>) -> Setup {
    let mut setup = Setup::default();
    for program in PROGRAMS {
        let Program { variable, path, package, used_by } = program;
        let own = given(variable);
        let place = own.clone().unwrap_or_else(|| PathBuf::from(path));
        if exists(&place) {
            setup.variables.push((variable, place));
        } else if own.is_some() {
            let place = place.display();
            setup
                .left_out
                .push(format!("{used_by}: {variable} says {place}, and there is nothing; correct or unset it"));
        } else {
            let why = why_not.map(|why| format!(" and could not be installed ({why})")).unwrap_or_default();
            let command = format!("sudo apt-get update && sudo apt-get install {package}");
            setup.left_out.push(format!("{used_by}: {path} is missing{why}; `{command}` brings it"));
        }
    }
    setup
}

/// Installs Debian packages as root, or through sudo if that asks for no password.
fn install(packages: &[&str]) -> Result<(), String> {
    let root = process::output(process::command("id").arg("-u"))?.trim() == "0";
    if !root {
        process::output(process::command("sudo").args(["-n", "true"]))
            .map_err(|_| "neither root nor sudo without a password".to_string())?;
    }
    let apt_get = |args: &[&str]| {
        let mut command = if root { process::command("env") } else { sudo_env() };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).args(BOUNDS).args(args);
        process::output(&mut command).map(drop).map_err(|why| process::last_line(&why))
    };
    // A fresh machine has old package lists or none. A source that cannot be read need not be the one that we need.
    let updated = apt_get(&["update"]);
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    apt_get(&install).map_err(|why| match updated {
        Ok(()) => why,
        Err(update) => format!("{why}, after `apt-get update` had failed: {update}"),
    })
}

/// Limits, so that a machine without a network or with a busy package manager gets an answer and not a long wait.
const BOUNDS: &[&str] =
    &["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1", "-o", "DPkg::Lock::Timeout=120"];

fn sudo_env() -> Command {
    let mut command = process::command("sudo");
    command.args(["-n", "env"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_to_the_tests() {
        let setup = found(|_| None, |_| true, None);
        assert_eq!(setup.left_out, Vec::<String>::new());
        assert_eq!(setup.variables.len(), PROGRAMS.len());
        assert_eq!(setup.variables[0], ("LOADKIT_TEST_TEEWORLDS", PathBuf::from("/usr/games/teeworlds-server")));
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_brings_it() {
        let setup = found(|_| None, |path| !path.ends_with("chromium"), Some("no network"));
        assert_eq!(setup.variables.len(), PROGRAMS.len() - 1);
        assert_eq!(
            setup.left_out,
            ["the tests that open the report in a browser: /usr/bin/chromium is missing and could not be installed \
              (no network); `sudo apt-get update && sudo apt-get install chromium` brings it"]
        );
    }

    #[test]
    fn a_variable_of_the_users_own_is_taken_and_a_wrong_one_is_named() {
        let own = |variable: &str| (variable == "LOADKIT_TEST_CHROMIUM").then(|| PathBuf::from("browser"));
        assert!(found(own, |_| true, None).variables.contains(&("LOADKIT_TEST_CHROMIUM", PathBuf::from("browser"))));
        let wrong = found(own, |path| path != Path::new("browser"), None);
        assert!(wrong.left_out[0].contains("LOADKIT_TEST_CHROMIUM says browser"), "{:?}", wrong.left_out);
    }
}
