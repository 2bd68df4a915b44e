//! What `new` makes, for every choice: it compiles without a warning, its test passes, and it plays against its own stub.
//!
//! All crates are members of one workspace and share the target folder of the one that we are in, so that their
//! dependencies compile once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{run, target};
use loadkit_tests::{Child, Output};
use serde_json::Value;

/// Compiling them all, on a machine with other work to do.
const COMPILING: Duration = Duration::from_secs(3_000);
const PLAYING: Duration = Duration::from_secs(60);

const TRANSPORTS: [(&str, &str); 5] = [("rudp", ""), ("tcp", ""), ("ws", "ws://"), ("udp", ""), ("http", "http://")];
const CODECS: [&str; 3] = ["protobuf", "bits", "custom"];

/// A schema of two packages with opcodes, as a team may have it.
const SHARED: &str = "syntax = \"proto3\";\npackage team.shared;\nmessage Place { sint32 x = 1; sint32 y = 2; }\n";
const TEAM: &str = "\
syntax = \"proto3\";
package team.game;
import \"loadkit/options.proto\";
import \"shared.proto\";
message Step { option (lk.opcode) = 5; option (lk.reply) = \"Stepped\"; team.shared.Place to = 1; }
message Stepped { option (lk.opcode) = 6; team.shared.Place at = 1; }
message LoginRequest { option (lk.opcode) = 3; option (lk.reply) = \"LoginReply\"; uint32 version = 1; string user_name = 2; }
message LoginReply { option (lk.opcode) = 4; }
";
/// One without.
const PLAIN: &str = "\
syntax = \"proto3\";
package plain;
message ClientMessage { oneof body { string login = 1; uint32 step = 2; } }
message ServerMessage { uint32 tick = 1; }
";

/// A workspace of its own, in a place that stays, so that the second time little compiles.
fn workspace() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffolds");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Dependencies as our own workspace has them, so that what it has compiled with the same features need not be compiled again. Of the
    // members some fifty programs are linked that nobody debugs.
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = []\n\n[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = \"line-tables-only\"\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    for (name, text) in [("shared.proto", SHARED), ("team.proto", TEAM), ("plain.proto", PLAIN)] {
        fs::write(folder.join(name), text).unwrap();
    }
    folder
}

fn cargo(folder: &Path, args: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(args).arg("--target-dir").arg(target()).arg("--offline").current_dir(folder);
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("LOADKIT_") {
            cargo.env_remove(name);
        }
    }
    Child::run(&mut cargo, COMPILING)
}

/// Plays a short run of a crate's client against its stub; the report.
fn play(folder: &Path, name: &str, scheme: &str) -> Value {
    let binary = |name: &str| target().join("debug").join(name);
    let mut server = Command::new(binary(&format!("{name}-server")));
    let server = Child::start(server.arg("127.0.0.1:0").stdout(Stdio::piped()));
    let line = server.first_line(PLAYING);
    let at = format!("{scheme}{}", line.rsplit(' ').next().unwrap());
    let mut client = Command::new(binary(name));
    client.args(["run", "plan.toml", "--bots", "5", "--ramp", "0s", "--duration", "2s", "--target", &at, "--json"]);
    let output = Child::run(client.current_dir(folder.join(name)), PLAYING);
    // A machine that is too busy to be believed is no fault of the scaffold, nor is one on which a tick takes long.
    assert!(matches!(output.code, Some(0 | 1 | 3)), "{name}: {output:?}");
    assert!(folder.join(name).join("report/report.html").is_file());
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{name}: {error}: {output:?}"))
}

#[test]
fn every_choice_compiles_without_a_warning_and_plays() {
    let folder = workspace();
    let mut names = Vec::new();
    for (transport, scheme) in TRANSPORTS {
        for codec in CODECS {
            let name = format!("{transport}-{codec}-bots");
            let made = run(&folder, &["new", &name, "--transport", transport, "--codec", codec]);
            assert_eq!(made.code, Some(0), "{made:?}");
            assert!(made.out.contains("It is now a member of the workspace of "), "{}", made.out);
            names.push((name, scheme, true));
        }
    }
    for (name, args, scheme, leaves) in [
        ("team-bots", &["--transport", "rudp", "--proto", "team.proto", "shared.proto"][..], "", false),
        ("team-http-bots", &["--transport", "http", "--proto", "team.proto"], "http://", false),
        ("plain-bots", &["--transport", "ws", "--proto", "plain.proto"], "ws://", false),
    ] {
        let made = run(&folder, &[&["new", name], args].concat());
        assert_eq!(made.code, Some(0), "{made:?}");
        names.push((name.to_owned(), scheme, leaves));
    }
    // Their programs and their own test. That there are no others, in the library or in documentation, `load_test` sees of one.
    let built = cargo(&folder, &["test", "--workspace", "--test", "bot"]);
    assert_eq!(built.code, Some(0), "{}\n{}", built.out, built.err);
    assert!(!built.err.contains("warning"), "{}", built.err);
    assert_eq!(built.out.matches("ten_players_play_for_half_a_minute ... ok").count(), names.len(), "{}", built.out);
    for (name, scheme, leaves) in &names {
        let report = play(&folder, name, scheme);
        let steps = &report["steps"];
        assert_eq!(
            (&report["players"]["failed"], &report["players"]["started"]),
            (&0.into(), &5.into()),
            "{name}: {report}"
        );
        assert!(steps["tick"]["succeeded"].as_u64().unwrap() >= 30, "{name}: {steps}");
        assert_eq!(steps["login"]["succeeded"], 5, "{name}");
        assert!(!leaves || steps["leave"]["succeeded"] == 5, "{name}: {steps}");
        let stamp = &report["run"]["stamp"];
        assert_eq!(stamp["protocol"].as_str().unwrap().len(), 16, "{name}: {stamp}");
        assert_eq!(stamp["client"], format!("{name} 0.1.0"));
    }
    load_test(&folder, &names[0].0);
}

/// The recipe that comes with a crate, as it is written: only shorter, and with what is compiled already.
fn load_test(folder: &Path, name: &str) {
    let mut path = vec![target().join("debug")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let server = format!("{} 127.0.0.1:{{port}}", target().join("debug").join(format!("{name}-server")).display());
    let mut recipe = Command::new("sh");
    recipe.arg(format!("{name}/ci/load-test.sh")).current_dir(folder);
    for (variable, _) in std::env::vars() {
        let is_ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "LOADKIT_"].iter().any(|start| variable.starts_with(start));
        if is_ours {
            recipe.env_remove(variable);
        }
    }
    recipe.env("PATH", std::env::join_paths(path).unwrap()).env("CARGO_NET_OFFLINE", "true");
    recipe.env("CARGO_TARGET_DIR", target()).env("LOADKIT_CARGO_PROFILE", "dev").env("LOADKIT_SERVER", server);
    recipe.envs([("LOADKIT_BOTS", "5"), ("LOADKIT_RAMP", "0s"), ("LOADKIT_DURATION", "3s"), ("BUILD_NUMBER", "b-77")]);
    let output = Child::run(&mut recipe, COMPILING);
    // As of a play: a machine that is too busy is no fault of the recipe.
    assert!(matches!(output.code, Some(0 | 1 | 3)), "{output:?}");
    let folder = folder.join(name);
    let report = fs::read_to_string(folder.join("report/report.md")).unwrap();
    assert!(report.contains("build `b-77`"), "{report}");
    assert!(fs::read_to_string(folder.join("report/server.log")).unwrap().contains("listens on 127.0.0.1:"));
    assert_eq!(folder.join("loadkit-baseline").is_dir(), output.code == Some(0), "{output:?}");
}

#[test]
fn each_transport_asks_for_the_features_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    for (transport, feature) in [("ws", "\"ws\""), ("http", "\"http\"")] {
        let name = format!("{transport}-bots");
        assert_eq!(run(folder.path(), &["new", &name, "--transport", transport]).code, Some(0));
        let manifest = fs::read_to_string(folder.path().join(&name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("features = [{feature}]")), "{manifest}");
    }
}

/// As CI runs it: the recipe that comes with the crate, as it is written.
#[test]
fn the_recipe_for_ci_is_sound_shell() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &["new", "recipe-bots"]).code, Some(0));
    let recipe = folder.path().join("recipe-bots/ci/load-test.sh");
    let output = Child::run(Command::new("sh").arg("-n").arg(&recipe), PLAYING);
    assert_eq!(output.code, Some(0), "{output:?}");
    let text = fs::read_to_string(recipe).unwrap();
    assert!(
        text.contains("sh recipe-bots/ci/load-test.sh") && text.contains("cargo loadkit ci --profile ci"),
        "{text}"
    );
}
