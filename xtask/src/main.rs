//! This repository's own chores: `cargo xtask test | tidy | bench | cold-start | package-fleet | fuzz | help`.
//!
//! On a fresh machine this crate compiles before anything else can start, so it uses the standard library only.

mod cold_start;
mod fuzz;
mod languages;
mod package;
mod process;
mod purity;
mod setup;
mod summary;
mod test;
mod tidy;

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
The chores of the loadkit repository.

    cargo xtask test            set up what is missing, then check everything
    cargo xtask tidy            check the style rules that rustc and clippy do not know
    cargo xtask bench [NAME...] measure, and print one JSON line for each figure
    cargo xtask cold-start      measure a Lambda's start: process to first packet, and its zip
    cargo xtask package-fleet [--policy FILE] [CLIENT]
                                build and pack what deploy/aws/template.yaml deploys
    cargo xtask fuzz [--seconds N] [--jobs J] [--keep] [NAME...]
                                feed hostile bytes to every decoder and protocol
    cargo xtask help            this text

test
    Installs the Debian packages that some tests need (as root, or by sudo without a
    password), fetches packages of Python and Node into target/languages, then runs these
    steps. All of them run, also after one has failed:
        fmt     cargo fmt --all --check
        tidy    cargo xtask tidy
        purity  loadkit-core depends on no socket, TLS, HTTP or AWS crate, and a bot
                crate with local threads only on no AWS crate
        clippy  cargo clippy --workspace --all-targets -- -D warnings
        doc     cargo doc --workspace --no-deps, warnings denied
        test    cargo test --workspace, doctests included
    What cannot be set up is named with the command that would set it up, and what was
    left out for it stands in the last lines. With CI=true in the environment, leaving
    anything out is a failure. The last line counts the tests: '12 passed, 0 failed'.

    These variables tell the tests where the programs are that they drive, and the
    packages that those need. Set one yourself to use what is somewhere else:
        LOADKIT_TEST_TEEWORLDS        a Teeworlds 0.7 server
        LOADKIT_TEST_CHROMIUM         a Chromium browser
        LOADKIT_TEST_CHROMEDRIVER     its driver, chromedriver
        LOADKIT_TEST_PROTOBUF_PYTHON  a folder for PYTHONPATH, with protobuf
        LOADKIT_TEST_PROTOBUF_NODE    a folder whose node_modules have google-protobuf
                                      and @bufbuild/protobuf
        LOADKIT_TEST_HDRHISTOGRAM_PYTHON  a folder for PYTHONPATH, with hdrhistogram
        LOADKIT_TEST_HDRHISTOGRAM_NODE    a folder whose node_modules have hdr-histogram-js
        LOADKIT_TEST_PROMETHEUS       a Prometheus server, with promtool beside it
        LOADKIT_TEST_REGISTRY         docker-registry, a registry of images
        LOADKIT_TEST_SINKS_PYTHON     a folder for PYTHONPATH, with opentelemetry-proto
                                      and prometheus-client
        LOADKIT_TEST_SINKS_NODE       a folder whose node_modules have statsd
        LOADKIT_TEST_AXE_NODE         a folder whose node_modules have axe-core
        LOADKIT_TEST_MINISTACK        a folder for PYTHONPATH, with ministack,
                                      aws-sam-translator and cfn-lint
        LOADKIT_TEST_OPENAPI_PYTHON   a folder for PYTHONPATH, with openapi-spec-validator
        LOADKIT_TEST_CYCLONEDX_PYTHON
                                      a folder for PYTHONPATH, with
                                      cyclonedx-python-lib[json-validation]

    A container runtime, runc, is installed too where it can be: with it the tests of the
    fleet start Fargate's tasks in containers and packaged images run in one, and without
    it as processes. They say which;
    LOADKIT_TEST_RUNC names another one.

tidy
    Each fault is one line: 'file:line: what; why; what to do'. The rules are in
    xtask/src/tidy/rules.rs, their exceptions and the reasons in xtask/src/tidy/allow.rs.

bench
    NAME picks figures; without one, all are measured. The figures go to stdout, all
    else to stderr, so 'cargo xtask bench > figures.jsonl' keeps them. 'dashboard' takes
    ten minutes, and Chromium and its driver where they are; LOADKIT_BENCH_KEEP names a
    folder where the day that it makes is kept as a fleet's data.

cold-start
    Builds the arena's client as a Lambda's bootstrap (release, static, stripped) and
    starts it against the runtime API of the tests: the time from the start of the
    process to the first packet of a player, and the bytes of a zip of it.

package-fleet
    Builds the fleet's own functions and the load client CLIENT (a package of this
    workspace and its binary, with the features `lambda` and `fargate`; `arena`) for
    release, static and stripped, and packs each as a Lambda's `bootstrap`:
    target/package/fleet.zip, with the guard-rails FILE in it as policy.toml, and
    target/package/worker.zip. Needs python3.

fuzz
    Builds libFuzzer around the targets of fuzz/src and runs each of them (or those that
    NAME names) for N seconds (60), J at a time (as many as there are cores). Each ends
    in one line: 'rudp_server 12,345,678 executions, 0 findings'. New inputs go to
    target/fuzz/corpus; --keep brings the smallest that reach everything into
    fuzz/corpus, where 'cargo test -p loadkit-fuzz' repeats them. What ends in a panic,
    in more than 64 MiB of heap or after more than 10 s is a finding: the input is in
    fuzz/findings, and the command that repeats it is shown. Needs a C++ compiler.

The exit code is 0 when all is well, 1 when a check failed, 2 for wrong use; 'bench'
passes on the code of the benchmark.
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "--help" | "-h", ..] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        ["test"] => code(test::run()),
        ["tidy"] => code(tidy::run().inspect_err(|why| eprintln!("{why}")).is_ok()),
        ["bench", names @ ..] => bench(names),
        ["cold-start"] => code(cold_start::run().inspect_err(|why| eprintln!("{why}")).is_ok()),
        ["package-fleet", rest @ ..] => match package::Options::parse(rest) {
            Ok(options) => code(package::run(&options).inspect_err(|why| eprintln!("{why}")).is_ok()),
            Err(why) => wrong_use(&why),
        },
        ["fuzz", rest @ ..] => match fuzz::Options::parse(rest) {
            Ok(options) => code(fuzz::run(&options).unwrap_or_else(|why| {
                eprintln!("{why}");
                false
            })),
            Err(why) => wrong_use(&why),
        },
        [task @ ("test" | "tidy" | "cold-start"), rest @ ..] => {
            wrong_use(&format!("`{task}` takes no arguments, and got `{}`", rest.join(" ")))
        }
        [unknown, ..] => wrong_use(&format!("there is no task `{unknown}`")),
    }
}

/// Benchmarks of memory count every allocation, which takes time: they are a binary of their own, and their names
/// begin with `idle`.
fn bench(names: &[&str]) -> ExitCode {
    let (memory, speed): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| name.starts_with("idle") || **name == "dashboard");
    let mut worst = 0;
    for (binary, wanted) in [("bench", speed), ("bench_heap", memory)] {
        if !names.is_empty() && wanted.is_empty() {
            continue;
        }
        let run = ["run", "--profile", "bench", "--quiet", "--package", "loadkit-tests", "--bin", binary, "--"];
        match process::cargo(&run).args(wanted).envs(setup::there()).status() {
            // A benchmark that a signal ended has no code of its own: that is a failure too.
            Ok(status) => worst = worst.max(status.code().and_then(|n| u8::try_from(n).ok()).unwrap_or(1)),
            Err(why) => {
                eprintln!("cargo could not be started: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(worst)
}

fn wrong_use(what: &str) -> ExitCode {
    eprintln!("{what}; `cargo xtask help` lists the tasks");
    ExitCode::from(2)
}

fn code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
