//! `triple -> what builds for it`: the target, its linker, and what is missing with the command that installs it.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::exit::Failure;

/// Machines on which Lambda functions and containers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86,
    Arm,
}

impl Machine {
    /// As Lambda calls it.
    pub(super) fn lambda(self) -> &'static str {
        match self {
            Machine::X86 => "x86_64",
            Machine::Arm => "arm64",
        }
    }

    /// As rustc does.
    fn arch(self) -> &'static str {
        match self {
            Machine::X86 => "x86_64",
            Machine::Arm => "aarch64",
        }
    }

    /// Debian's compiler for it on other machines, and the package that has it.
    fn compiler(self) -> (&'static str, &'static str) {
        match self {
            Machine::X86 => ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
            Machine::Arm => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        }
    }
}

/// What rustc says of a target's name: whether it knows it, and whether what is linked with it is there.
type Rustc = Box<dyn Fn(&str) -> (bool, bool)>;

/// What the machine has that builds.
pub(super) struct Tools {
    /// Its own architecture.
    pub(super) arch: &'static str,
    /// Which targets it can build for.
    pub(super) target: Rustc,
    /// Whether there is a program of this name.
    pub(super) program: Box<dyn Fn(&str) -> bool>,
    /// Whether a variable of the environment is set.
    pub(super) variable: Box<dyn Fn(&str) -> bool>,
}

impl Tools {
    /// Those of this machine.
    pub(super) fn here() -> Tools {
        Tools {
            arch: env::consts::ARCH,
            target: Box::new(target),
            program: Box::new(|program| {
                let folders = env::var_os("PATH").unwrap_or_default();
                env::split_paths(&folders).any(|folder| folder.join(program).is_file())
            }),
            variable: Box::new(|name| env::var_os(name).is_some()),
        }
    }

    /// Whether what is linked with this target is there.
    fn has(&self, triple: &str) -> bool {
        (self.target)(triple).1
    }

    /// musl where it is installed, because it is static by itself; for another machine in any case.
    fn triple_of(&self, machine: Machine) -> String {
        let (arch, is_native) = (machine.arch(), machine.arch() == self.arch);
        let musl = format!("{arch}-unknown-linux-musl");
        let is_whole = self.has(&musl) && (self.program)("musl-gcc");
        if is_whole || !is_native { musl } else { format!("{arch}-unknown-linux-gnu") }
    }
}

fn target(triple: &str) -> (bool, bool) {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", triple]).stdin(Stdio::null());
    let output = rustc.output().ok().filter(|output| output.status.success());
    let is_there = |output: &std::process::Output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir();
    (output.is_some(), output.as_ref().is_some_and(is_there))
}

/// What the binary is built for.
#[derive(Clone, Debug)]
pub(super) struct Triple {
    pub(super) name: String,
    pub(super) machine: Machine,
    /// What cargo and C compilers are told of another machine's linker and compiler.
    pub(super) variables: Vec<(String, String)>,
}

impl Triple {
    /// The one that is asked for, or a static one of this machine: musl where it is installed, else glibc.
    ///
    /// # Errors
    /// What is missing to build for it, with the one command that installs it.
    pub(super) fn choose(asked: Option<&str>, tools: &Tools) -> Result<Triple, Failure> {
        let name = match asked {
            Some("x86-64" | "x86_64" | "amd64") => tools.triple_of(Machine::X86),
            Some("arm64" | "aarch64") => tools.triple_of(Machine::Arm),
            Some(name) => name.to_owned(),
            None if tools.arch == Machine::Arm.arch() => tools.triple_of(Machine::Arm),
            None => tools.triple_of(Machine::X86),
        };
        let wrong = |what: &str| Err(Failure::wrong_use(format!("{name:?} {what}")).mended_by("take x86-64 or arm64"));
        let machine = match name.split('-').next() {
            Some("x86_64") => Machine::X86,
            Some("aarch64") => Machine::Arm,
            _ => return wrong("is for no machine of Lambda or Fargate"),
        };
        if !name.contains("-linux-") {
            return wrong("is not Linux, as Lambda and containers are");
        }
        let triple = Triple { variables: tools.told(&name, machine), name, machine };
        match (tools.target)(&triple.name) {
            (false, _) => Err(Failure::wrong_use(format!("rustc knows no target {:?}", triple.name))
                .mended_by("take x86-64 or arm64; `rustc --print target-list` has all")),
            (true, false) => Err(Failure::missing(format!("the target {} is not installed", triple.name))
                .mended_by(format!("rustup target add {}", triple.name))),
            (true, true) => triple.check_compiler(tools),
        }
    }

    /// Whether there is a compiler, which links too.
    fn check_compiler(self, tools: &Tools) -> Result<Triple, Failure> {
        let is_native = self.machine.arch() == tools.arch;
        let (program, package) = match (is_native, self.name.ends_with("musl")) {
            (true, false) => return Ok(self),
            // Crates with C in them, as ring, want it for their own part.
            (true, true) => ("musl-gcc", "musl-tools"),
            (false, _) => self.machine.compiler(),
        };
        if (tools.variable)(&linker(&self.name)) || (tools.program)(program) {
            return Ok(self);
        }
        Err(Failure::missing(format!("to build for {}, {program} is missing", self.name))
            .mended_by(format!("sudo apt-get install {package}")))
    }
}

impl Tools {
    /// Where the environment names no other, a foreign machine's linker is Debian's compiler for it; C is compiled by it too.
    fn told(&self, triple: &str, machine: Machine) -> Vec<(String, String)> {
        if machine.arch() == self.arch {
            return Vec::new();
        }
        let (compiler, _) = machine.compiler();
        let names = [linker(triple), format!("CC_{}", triple.replace('-', "_"))];
        let unset = names.into_iter().filter(|name| !(self.variable)(name));
        unset.map(|name| (name, compiler.to_owned())).collect()
    }
}

/// The variable by which cargo is told of a linker.
fn linker(triple: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    /// A machine with these targets and programs installed; rustc knows musl and glibc of both.
    fn tools(installed: &'static [&str], programs: &'static [&str], variables: &'static [&str]) -> Tools {
        Tools {
            arch: "x86_64",
            target: Box::new(|triple| (!triple.ends_with("moon"), installed.contains(&triple))),
            program: Box::new(|program| programs.contains(&program)),
            variable: Box::new(|name| variables.contains(&name)),
        }
    }

    const GNU: &str = "x86_64-unknown-linux-gnu";
    const MUSL: &str = "x86_64-unknown-linux-musl";
    const ARM: &str = "aarch64-unknown-linux-musl";

    fn chosen(asked: Option<&str>, tools: &Tools) -> Result<String, (Exit, String)> {
        let chosen = Triple::choose(asked, tools).map(|triple| triple.name);
        chosen.map_err(|failure| (failure.exit(), failure.remedy().unwrap_or_default().to_owned()))
    }

    #[test]
    fn musl_is_taken_where_it_is_whole() {
        assert_eq!(chosen(None, &tools(&[GNU], &[], &[])), Ok(GNU.into()));
        assert_eq!(chosen(None, &tools(&[GNU, MUSL], &[], &[])), Ok(GNU.into()));
        assert_eq!(chosen(None, &tools(&[GNU, MUSL], &["musl-gcc"], &[])), Ok(MUSL.into()));
        assert_eq!(chosen(Some("amd64"), &tools(&[GNU], &[], &[])), Ok(GNU.into()));
    }

    #[test]
    fn what_is_missing_comes_with_the_one_command_that_installs_it() {
        let missing = |remedy: &str| Err((Exit::Missing, remedy.to_owned()));
        assert_eq!(chosen(Some("arm64"), &tools(&[GNU], &[], &[])), missing(&format!("rustup target add {ARM}")));
        let without_compiler = tools(&[GNU, ARM], &[], &[]);
        assert_eq!(chosen(Some("arm64"), &without_compiler), missing("sudo apt-get install gcc-aarch64-linux-gnu"));
        assert_eq!(
            chosen(Some(MUSL), &tools(&[GNU], &["musl-gcc"], &[])),
            missing(&format!("rustup target add {MUSL}"))
        );
        assert_eq!(chosen(Some(MUSL), &tools(&[GNU, MUSL], &[], &[])), missing("sudo apt-get install musl-tools"));
        let made_up = chosen(Some("aarch64-unknown-linux-moon"), &tools(&[GNU], &[], &[]));
        assert!(
            made_up.is_err_and(|(exit, remedy)| exit == Exit::WrongUse && remedy.starts_with("take x86-64 or arm64"))
        );
    }

    #[test]
    fn another_machine_s_linker_is_told_unless_somebody_has() {
        let gcc = |name: &str| (name.to_owned(), "aarch64-linux-gnu-gcc".to_owned());
        let told = |tools: &Tools| Triple::choose(Some("arm64"), tools).map(|triple| triple.variables);
        let whole = tools(&[ARM], &["aarch64-linux-gnu-gcc"], &[]);
        let (linker, cc) = ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "CC_aarch64_unknown_linux_musl");
        assert_eq!(told(&whole), Ok(vec![gcc(linker), gcc(cc)]));
        let own = tools(&[ARM], &[], &["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER"]);
        assert_eq!(told(&own), Ok(vec![gcc(cc)]));
        let native = Triple::choose(None, &tools(&[GNU], &[], &[])).map(|triple| triple.variables);
        assert_eq!(native, Ok(Vec::new()));
    }
}
