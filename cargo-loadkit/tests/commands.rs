//! What commands say that need no fleet: words, JSON, exit codes, and the line that mends a fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;

use common::{json, run};

#[test]
fn new_tells_what_it_made_and_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["new", "my-bots", "--transport", "ws", "--codec", "bits"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.out.starts_with("my-bots: a load client over WebSockets, with messages in bits; "), "{}", made.out);
    assert!(made.out.contains("  cargo run --bin my-bots-server  "), "{}", made.out);
    assert!(
        made.out.contains("in another terminal, in the same folder:\n  cargo run -- run plan.toml"),
        "{}",
        made.out
    );
    let (code, made) = json(folder.path(), &["new", "others"]);
    assert_eq!(
        (code, &made["schema"], &made["transport"], &made["codec"]),
        (Some(0), &"loadkit.new/1".into(), &"rudp".into(), &"protobuf".into())
    );
    for file in made["files"].as_array().unwrap() {
        let text = fs::read_to_string(folder.path().join("others").join(file.as_str().unwrap())).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }
}

#[test]
fn new_refuses_what_cannot_be_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/file"), "mine").unwrap();
    fs::write(
        folder.path().join("bad.proto"),
        "syntax = \"proto3\";\npackage game;\nmessage Login {\n  strin name = 1;\n}\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("plain.proto"),
        "syntax = \"proto3\";\npackage game;\nmessage Ball { uint32 x = 1; }\n",
    )
    .unwrap();
    for (args, code, why) in [
        (
            &["new", "2fast"][..],
            2,
            "\"2fast\" is no name for a crate: it must begin with a letter; \"fast\" would be one",
        ),
        (&["new", "full"], 2, "is not empty\n  mend it: take another name"),
        (&["new", "x1", "--proto", "bad.proto"], 2, "bad.proto:4:"),
        (&["new", "x2", "--proto", "none.proto"], 2, "none.proto cannot be read"),
        (&["new", "x3", "--proto", "plain.proto"], 2, "give their names, --messages ClientMessage,ServerMessage"),
        (
            &["new", "x4", "--proto", "plain.proto", "--messages", "Ball,Bat"],
            2,
            "the schema has no message \"Bat\"; there are game.Ball",
        ),
        (&["new", "x5", "--proto", "plain.proto", "--codec", "bits"], 2, "--proto is for the codec protobuf"),
        (&["new", "x6", "--path", "nowhere"], 4, "name its repository: --path DIR"),
        (&["new", "x7", "--transport", "pigeon"], 2, "possible values: rudp, tcp, ws, udp, http"),
    ] {
        let output = run(folder.path(), args);
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        assert!(output.err.contains(why), "{args:?}: {}", output.err);
        assert!(args[1] == "full" || !folder.path().join(args[1]).exists(), "{args:?}");
    }
    let (code, error) = json(folder.path(), &["new", "full"]);
    assert_eq!((code, &error["schema"], &error["exit"]), (Some(2), &"loadkit.error/1".into(), &2.into()));
    assert_eq!(fs::read_to_string(folder.path().join("full/file")).unwrap(), "mine");
}

#[test]
fn config_tells_each_value_and_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("loadkit.toml"), "package = \"mygame\"\n\n[profiles.ci]\nbots = 300\n").unwrap();
    let mut command = common::command(folder.path(), &["config", "--profile", "ci", "--set", "workers=4"]);
    command.env("LOADKIT_TARGET", "game.test:4000").env("LOADKIT_TOKEN", "hush");
    let words = loadkit_tests::Child::run(&mut command, common::LIMIT);
    assert_eq!(words.code, Some(0), "{words:?}");
    let said = |name: &str| {
        let line = words.out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{}", words.out));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said("package"), "mygame loadkit.toml:1");
    assert_eq!(said("bots"), "300 loadkit.toml:4, profile ci");
    assert_eq!(said("duration"), "3m profile ci");
    assert_eq!(said("target"), "game.test:4000 LOADKIT_TARGET");
    assert_eq!(said("workers"), "4 --set workers");
    assert_eq!(said("token"), "(set) LOADKIT_TOKEN");
    assert!(!words.out.contains("hush"));
    let (code, config) = json(folder.path(), &["config", "-p", "soak"]);
    assert_eq!(
        (code, &config["profile"], &config["settings"]["duration"]["value"]),
        (Some(0), &"soak".into(), &"24h".into())
    );
    assert_eq!(config["settings"]["bots"]["from"], "profile soak");
    let wrong = run(folder.path(), &["config", "--profile", "moon"]);
    assert!(
        wrong.code == Some(2) && wrong.err.contains("there is no profile \"moon\"; there are smoke, ci"),
        "{wrong:?}"
    );
}

#[test]
fn doctor_tells_what_it_found_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (code, found) = json(folder.path(), &["doctor", "--bots", "10"]);
    let names: Vec<&str> =
        found["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in ["descriptors", "ports", "buffers", "governor", "steal", "clock", "credentials", "quotas"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(code, Some(if found["worst"] == "fault" { 1 } else { 0 }), "{found}");
    let words = run(folder.path(), &["doctor", "--bots", "100000000"]);
    assert_eq!(words.code, Some(1), "{words:?}");
    assert!(words.out.contains("FAULT    descriptors") || words.out.contains("FAULT    ports"), "{}", words.out);
    assert!(words.out.contains("mend it: "), "{}", words.out);
}

#[test]
fn package_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = run(folder.path(), &["package"]);
    assert!(nowhere.code == Some(2) && nowhere.err.contains("run it in the load client's folder"), "{nowhere:?}");
    let crate_of = |manifest: &str| {
        fs::create_dir_all(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").unwrap();
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    };
    let bare = "[package]\nname = \"bare\"\nedition = \"2024\"\n";
    crate_of(bare);
    let output = run(folder.path(), &["package"]);
    assert!(output.code == Some(2) && output.err.contains("lambda = [\"loadkit/lambda\"]"), "{output:?}");
    crate_of(&format!("{bare}[features]\nlambda = []\nfargate = []\n"));
    let output = run(folder.path(), &["package", "--triple", "aarch64-unknown-linux-moon"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.err.contains("rustc knows no target \"aarch64-unknown-linux-moon\""), "{}", output.err);
    // A target that nobody has installed who does not build for set-top boxes.
    let output = run(folder.path(), &["package", "--triple", "aarch64-unknown-linux-ohos"]);
    assert_eq!(output.code, Some(4), "{output:?}");
    assert!(output.err.contains("mend it: rustup target add aarch64-unknown-linux-ohos"), "{}", output.err);
    for triple in ["riscv64gc-unknown-linux-gnu", "x86_64-pc-windows-msvc"] {
        let output = run(folder.path(), &["package", "--triple", triple]);
        assert!(output.code == Some(2) && output.err.contains("take x86-64 or arm64"), "{output:?}");
    }
}
