//! The recipes of deploy/ci: their steps in shell as they are written, on a repository with two builds of the arena.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/itself.rs"]
mod itself;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{LIMIT, target};
use itself::arena;
use loadkit_tests::{Child, Output};

fn recipe(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("deploy/ci").join(name)).unwrap()
}

/// The texts between `sh '''` (or `script: '''`) and `'''`.
fn jenkins() -> Vec<String> {
    let text = recipe("Jenkinsfile");
    let parts: Vec<&str> = text.split("'''").collect();
    assert!(parts.len() % 2 == 1 && !text.contains('\\'), "Groovy would read something else than is written");
    parts.into_iter().skip(1).step_by(2).map(str::to_owned).collect()
}

/// What stands behind `run:`, on that line or indented below it, with the names of the steps.
fn github() -> Vec<(String, String)> {
    let text = recipe("github-actions.yml");
    let (mut steps, mut name) = (Vec::new(), String::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(step) = line.trim().strip_prefix("- name: ") {
            name = step.to_owned();
        }
        let Some(run) = line.trim().strip_prefix("run: ") else { continue };
        let mut script = if run == "|" { String::new() } else { run.to_owned() };
        let indent = line.len() - line.trim_start().len();
        while run == "|" && lines.peek().is_some_and(|next| next.len() - next.trim_start().len() > indent) {
            script += lines.next().unwrap().get(indent + 2..).unwrap();
            script.push('\n');
        }
        steps.push((name.clone(), script));
    }
    steps
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn git(folder: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b.test"]).args(args).current_dir(folder);
    let output = Child::run(&mut git, LIMIT);
    assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
    output.out.trim().to_owned()
}

/// A game's repository with two commits of its server: how the second is started. The first commit.
fn repository(folder: &Path, new: &str) -> String {
    let arena = arena(folder);
    let build = |start: &str| {
        let script = format!(
            "#!/bin/sh\nset -eu\nmkdir -p \"$1\"\nprintf '%s\\n' '#!/bin/sh' '{start}' > \"$1/start\"\nchmod +x \"$1/start\"\n"
        );
        write(&folder.join("ci/build-server.sh"), &script);
    };
    let server = |flags: &str| format!("exec {} server --listen 127.0.0.1:$1 --match-time 1s {flags}", arena.display());
    build(&server(""));
    write(
        &folder.join("loadkit.toml"),
        "server = \"server/start {port}\"\nready = \"line listens on\"\n\n[profiles.ci]\nbots = 12\nramp = \"0s\"\nduration = \"3s\"\n",
    );
    git(folder, &["init", "--quiet", "--initial-branch", "main"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "one"]);
    let before = git(folder, &["rev-parse", "HEAD"]);
    git(folder, &["update-ref", "refs/remotes/origin/main", &before]);
    build(&if new.is_empty() { server("--patience 2s") } else { new.to_owned() });
    git(folder, &["commit", "--quiet", "--all", "--message", "two"]);
    before
}

/// Runs a step with `cargo loadkit` and a `gh` that notes what it is told.
fn step(folder: &Path, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Output {
    write(&folder.join("bin/gh"), "#!/bin/sh\necho \"$@\" > gh.txt\n");
    let mut path = vec![target().join("debug"), folder.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg("-c").arg(script).current_dir(folder);
    for (name, _) in env::vars() {
        if name.starts_with("LOADKIT_") || name.starts_with("GITHUB_") {
            command.env_remove(name);
        }
    }
    command
        .env("PATH", env::join_paths(path).unwrap())
        .env("LOADKIT_CLIENT", arena(folder))
        .env("LOADKIT_PROFILE", "ci");
    Child::run(command.envs(variables.iter().copied()), LIMIT)
}

/// What a report must have said at last: that it is of both builds.
fn is_of_both(folder: &Path) {
    let report = fs::read_to_string(folder.join("report/report.json")).unwrap();
    assert!(report.contains("login{target=baseline}") && report.contains("login{target=candidate}"), "{report}");
    for file in ["report.md", "junit.xml", "server.log", "base-server.log"] {
        assert!(folder.join("report").join(file).is_file(), "{file}");
    }
}

#[test]
fn the_steps_of_jenkins_run_as_written() {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), "");
    let workspace = folder.path().display().to_string();
    let steps = jenkins();
    let [server, before, test] = &steps[..] else { panic!("{steps:?}") };
    let run = |script: &str, variables: &[(&str, &str)]| {
        let own = [("WORKSPACE", workspace.as_str()), ("BUILD_TAG", "jenkins-game-7")];
        step(folder.path(), &["sh", "-xe"], script, &[&own[..], variables].concat())
    };
    let change = [("CHANGE_TARGET", "main")];
    for (script, variables) in [(server, &[][..]), (before, &change)] {
        let output = run(script, variables);
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    // A pull request, twice, as a workspace is used again. Three seconds need not be enough for the gate.
    for _ in 0..2 {
        assert_eq!(run(before, &change).code, Some(0));
        let output = run(test, &change);
        assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
        is_of_both(folder.path());
    }
    assert!(fs::read_to_string(folder.path().join("report/report.json")).unwrap().contains("jenkins-game-7"));
    // The main branch.
    let output = run(test, &[]);
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
    assert_eq!(folder.path().join("loadkit-baseline").is_dir(), output.code == Some(0), "{output:?}");
}

#[test]
fn the_steps_of_github_run_as_written() {
    for (new, is_well) in [("", true), ("echo no licence; exit 3", false)] {
        let folder = tempfile::tempdir().unwrap();
        let before = repository(folder.path(), new);
        let (workspace, summary) = (folder.path().display().to_string(), folder.path().join("summary.md"));
        let own = [
            ("GITHUB_WORKSPACE", workspace.as_str()),
            ("GITHUB_SHA", "0123abc"),
            ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("BEFORE", &before),
            ("PULL_REQUEST", "12"),
        ];
        let steps = github();
        let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Server", "Server before", "Load test", "Comment"]);
        for (name, script) in &steps {
            // The service leaves the comment out where there is no report.
            if name == "Comment" && !is_well {
                continue;
            }
            let output = step(folder.path(), &["bash", "-e"], script, &own);
            let code = if name == "Load test" && !is_well { 4 } else { 0 };
            assert_eq!(output.code, Some(code), "{name}: {output:?}");
        }
        if is_well {
            is_of_both(folder.path());
            assert!(fs::read_to_string(&summary).unwrap().contains("build `0123abc`"));
            let told = fs::read_to_string(folder.path().join("gh.txt")).unwrap();
            assert_eq!(told, "pr comment 12 --edit-last --create-if-none --body-file report/report.md\n");
        }
    }
}
