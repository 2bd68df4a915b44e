//! What goes wrong around a build engineer, each with the words that say what, where, and what mends it. What is not here stands with
//! its command: names, folders and `.proto` files in `commands`, servers in `ci`, fleets in `fleet`, AWS in `doctor` and `publish`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{LIMIT, command};
use loadkit_tests::{Answer, Asked, Child, Output, serve_http};
use serde_json::json;

/// A client of one line, with these homes.
fn client(folder: &Path) {
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").unwrap();
    let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n\n[features]\nlambda = []\nfargate = []\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A machine with all targets of Rust and none of the compilers for C that they need.
#[test]
fn a_compiler_that_is_missing_comes_with_the_one_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    client(folder.path());
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let all = format!("case \"$*\" in *target-libdir*) echo /;; *) exec '{}' \"$@\";; esac", rustc.display());
    let rustc = script(folder.path(), "all-targets", &all);
    let other = if cfg!(target_arch = "x86_64") { ("arm64", "aarch64") } else { ("x86-64", "x86_64") };
    let own = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let package = if other.1 == "aarch64" { "gcc-aarch64-linux-gnu" } else { "gcc-x86-64-linux-gnu" };
    for (triple, what, remedy) in [
        (own.as_str(), "musl-gcc is missing", "sudo apt-get install musl-tools".to_owned()),
        (other.0, "-linux-gnu-gcc is missing", format!("sudo apt-get install {package}")),
    ] {
        let mut packaging = command(folder.path(), &["package", "--triple", triple]);
        packaging.env("RUSTC", &rustc).env("CARGO", env!("CARGO")).env("PATH", folder.path());
        let output = Child::run(&mut packaging, LIMIT);
        assert_eq!(output.code, Some(4), "{output:?}");
        assert!(output.err.contains(what) && output.err.contains(&format!("mend it: {remedy}\n")), "{output:?}");
    }
}

/// What cargo builds here is made larger than Lambda's 250 MiB afterwards: a file with a hole, which takes no room.
#[test]
fn what_is_too_large_for_its_home_is_told_with_figures_and_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    client(folder.path());
    let grown = format!(
        "'{}' \"$@\" || exit\ncase \"$1\" in build) truncate -s 251M target/*/release/small;; esac",
        env!("CARGO")
    );
    let cargo = script(folder.path(), "growing", &grown);
    let mut packaging = command(folder.path(), &["package"]);
    let output = Child::run(packaging.env("CARGO", &cargo), LIMIT);
    assert_eq!(output.code, Some(1), "{output:?}");
    let why =
        "the binary has 251.0 MiB, and Lambda unpacks 250 at most\n  mend it: leave out what the client does not need";
    assert!(output.err.contains(why), "{}", output.err);
    assert!(!folder.path().join("target/loadkit").exists(), "nothing is written");
}

/// A package to be published, and credentials.
fn publish(folder: &Path, at: SocketAddr, variables: &[(&str, &str)]) -> Output {
    client(folder);
    fs::create_dir_all(folder.join("dist")).unwrap();
    fs::write(folder.join("dist/small-lambda-x86_64.zip"), "a zip").unwrap();
    let mut command = command(folder, &["publish", "--stack", "loadkit", "--from", "dist"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{at}")).envs(variables.iter().copied());
    Child::run(&mut command, LIMIT)
}

const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const CREDENTIALS: [(&str, &str); 3] = [REGION, ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];

/// Where nobody listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn without_a_network_or_credentials_nothing_is_published_and_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cut_off = publish(folder.path(), nowhere(), &CREDENTIALS);
    assert_eq!(cut_off.code, Some(4), "{cut_off:?}");
    assert!(
        cut_off.err.contains("unreachable") && cut_off.err.contains("mend it: see whether this machine has a network")
    );
    let nobody = publish(folder.path(), nowhere(), &[REGION]);
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
    assert!(nobody.err.contains("mend it: eval \"$(aws configure export-credentials --format env)\""), "{nobody:?}");
}

/// A time of day from now, as a program of the system writes it.
fn date(shift: &str, format: &str) -> String {
    let output = Command::new("date").env("LC_ALL", "C").args(["-u", "-d", shift, format]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// AWS with a clock that is an hour ahead of ours: what it answers to a signature that is off by more than five minutes; else nothing.
fn an_hour_ahead(asked: &Asked, takes_it: bool) -> (Vec<(String, String)>, Option<String>) {
    let basic = |shift: &str| date(shift, "+%Y%m%dT%H%M%SZ");
    let (from, to) = (basic("now + 55 minutes"), basic("now + 65 minutes"));
    let signed = asked.header("x-amz-date").unwrap_or_default().to_owned();
    let headers = vec![("date".to_owned(), date("now + 60 minutes", "+%a, %d %b %Y %H:%M:%S GMT"))];
    let is_late = !takes_it || !(from.as_str()..=to.as_str()).contains(&signed.as_str());
    let why = format!("Signature expired: {signed} is now earlier than {from} ({to} - 5 min.)");
    (headers, is_late.then_some(why))
}

/// API Gateway before a fleet without runs.
fn gateway(takes_it: bool) -> String {
    let health = json!({ "ok": true, "version": env!("CARGO_PKG_VERSION") });
    let at = serve_http(move |asked| {
        let (headers, late) = an_hour_ahead(&asked, takes_it);
        let (status, body) = match late {
            Some(why) => (403, json!({ "message": why })),
            None if asked.path == "/v1/health" => (200, health.clone()),
            None => (200, json!({ "runs": [] })),
        };
        Answer { headers, ..Answer::new(status, body.to_string()) }
    });
    format!("http://{at}")
}

#[test]
fn a_clock_that_is_an_hour_slow_is_said_and_signatures_are_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |fleet: &str| {
        let mut command = command(folder.path(), &["runs", "--fleet", fleet, "--set", "auth=aws"]);
        Child::run(command.envs(CREDENTIALS), LIMIT)
    };
    let put_right = ask(&gateway(true));
    assert_eq!((put_right.code, put_right.out.as_str()), (Some(0), "There are none.\n"), "{put_right:?}");
    assert_eq!(put_right.err.matches("warning: this machine's clock is ").count(), 1, "{put_right:?}");
    assert!(put_right.err.contains("slow; signed by AWS's"), "{put_right:?}");
    // Whatever it says of the time: that cannot be the credentials' fault, and it is not asked for ever.
    let stubborn = ask(&gateway(false));
    assert_eq!(stubborn.code, Some(4), "{stubborn:?}");
    assert!(stubborn.err.contains("AWS does not take the time of this machine's clock: it is "), "{stubborn:?}");
    assert!(stubborn.err.contains("mend it: sudo timedatectl set-ntp true"), "{stubborn:?}");

    // AWS's own services.
    let sha256 = loadkit_aws::FunctionCode::sha256_of(b"a zip");
    let lambda = serve_http(move |asked| {
        let (mut headers, late) = an_hour_ahead(&asked, true);
        let Some(why) = late else {
            let code = json!({ "Architectures": ["x86_64"], "CodeSha256": sha256, "PackageType": "Zip" });
            return Answer { headers, ..Answer::new(200, code.to_string()) };
        };
        headers.push(("x-amzn-errortype".to_owned(), "InvalidSignatureException".to_owned()));
        Answer { headers, ..Answer::new(403, json!({ "message": why }).to_string()) }
    });
    let published = publish(folder.path(), lambda, &CREDENTIALS);
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(published.out.contains("loadkit-worker has this code already"), "{published:?}");
}
