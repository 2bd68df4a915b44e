//! What is asked of a fleet, and what becomes of wrong answers: against services that stand in for one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{LIMIT, command, json, run};
use loadkit_tests::{Answer, Asked, Child, serve_http};
use serde_json::{Value, json};

type Log = Arc<Mutex<Vec<Asked>>>;

/// A service of our version that answers so, and what it was asked beside its health.
fn service(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> (String, Log) {
    let log = Log::default();
    let asked = log.clone();
    let at = serve_http(move |one| {
        if one.path == "/v1/health" {
            return Answer::new(200, json!({ "ok": true, "version": env!("CARGO_PKG_VERSION") }).to_string());
        }
        let mut log = asked.lock().unwrap();
        let answer = answer(&one, log.len());
        log.push(one);
        answer
    });
    (url(at), log)
}

fn url(at: SocketAddr) -> String {
    format!("http://{at}")
}

fn record() -> Value {
    json!({
        "schema": "loadkit.run/1", "id": "00000000000000aa", "request": { "plan": "" }, "by": { "name": "ci" },
        "scenario": "arena", "target": "game:4000", "seed": "1", "home": "lambda", "why": "it was asked for", "workers": 120,
        "state": "assembling", "created_at_ms": 1_764_000_000_000_u64, "start_at_ms": 1_764_000_015_000_u64,
        "ends_at_ms": 1_764_000_195_000_u64, "deadline_ms": 1_764_000_400_000_u64,
    })
}

fn planned(folder: &Path) {
    fs::write(folder.join("plan.toml"), "target = \"10.1.2.3:4000\"\nbots = 1200\nduration = \"3m\"\n").unwrap();
}

#[test]
fn whatever_is_no_fleet_of_ours_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let other = url(serve_http(|_| Answer::new(200, r#"{"ok":true,"version":"99.1.0"}"#)));
    let page = url(serve_http(|_| Answer::new(404, "<html>nothing</html>")));
    let locked = url(serve_http(|_| Answer::new(401, r#"{"error":"no token","help":"x"}"#)));
    let nobody = url("127.0.0.1:9".parse().unwrap());
    for (fleet, why, remedy) in [
        (&other, "is loadkit 99.1.0, and this is", "--version 99.1.0"),
        (&page, "is no fleet of loadkit", "check the URL"),
        (&locked, "does not know who asks", "LOADKIT_TOKEN"),
        (&nobody, "no answer from the fleet at http://127.0.0.1:9", "cargo loadkit serve"),
    ] {
        let (code, error) = json(folder.path(), &["runs", "--fleet", fleet]);
        assert_eq!((code, &error["schema"]), (Some(4), &"loadkit.error/1".into()), "{error}");
        assert!(error["error"].as_str().unwrap().contains(why), "{error}");
        assert!(error["remedy"].as_str().unwrap().contains(remedy), "{error}");
    }
}

#[test]
fn requests_say_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let empty = |_: &Asked, _| Answer::new(200, r#"{"runs":[]}"#);
    let (fleet, log) = service(empty);
    let ask = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = command(folder.path(), &[&["runs", "--fleet", fleet.as_str()][..], args].concat());
        Child::run(command.envs(env.iter().copied()), LIMIT)
    };
    let aws = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(ask(&[], &aws).out, "There are none.\n");
    assert_eq!(ask(&["--by", "a b"], &[("LOADKIT_TOKEN", "lk-1")]).code, Some(0));
    let signed = ask(&["--set", "auth=aws"], &aws);
    assert_eq!(signed.code, Some(0), "{signed:?}");
    let log = log.lock().unwrap();
    let who: Vec<Option<&str>> = log.iter().map(|asked| asked.header("authorization")).collect();
    assert_eq!(who[..2], [None, Some("Bearer lk-1")], "credentials go to no fleet that did not ask for them");
    let signature = who[2].unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{signature}");
    assert!(signature.contains("/eu-west-1/execute-api/aws4_request") && !signature.contains("hush"), "{signature}");
    assert_eq!(log[1].path, "/v1/runs?by=a%20b&limit=20");
    drop(log);

    let none = ask(&["--set", "auth=aws"], &aws[2..]);
    assert!(none.code == Some(4) && none.err.contains("export-credentials"), "{none:?}");
    let (fleet, _) =
        service(|_, _| Answer::new(403, r#"{"message":"The security token included in the request is expired"}"#));
    let mut expired = command(folder.path(), &["runs", "--fleet", &fleet, "--set", "auth=aws"]);
    let expired = Child::run(expired.envs(aws), LIMIT);
    assert!(expired.code == Some(4) && expired.err.contains("the AWS credentials have expired"), "{expired:?}");
}

#[test]
fn a_launch_whose_answer_was_lost_is_asked_for_again_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    planned(folder.path());
    let (fleet, log) = service(|_, before| match before {
        0 => Answer::new(502, "<html>bad gateway</html>"),
        _ => Answer::new(202, record().to_string()),
    });
    let args = ["launch", "--plan", "plan.toml", "--fleet", &fleet, "--label", "job=7", "--set", "runner=lambda"];
    let output = run(folder.path(), &args);
    assert_eq!((output.code, output.out.as_str()), (Some(0), "00000000000000aa\n"), "{output:?}");
    assert!(output.err.contains("trying again for 300 s") && output.err.contains("cargo loadkit watch"), "{output:?}");
    let bodies: Vec<Value> =
        log.lock().unwrap().iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert!(bodies[0]["once"].as_str().unwrap().len() > 20, "{}", bodies[0]);
    assert_eq!((&bodies[0]["runner"], &bodies[0]["labels"]["job"]), (&"lambda".into(), &"7".into()));
    let (code, launched) = json(folder.path(), &[&args[..], &["--once", "build-7"]].concat());
    assert_eq!(
        (code, &launched["schema"], &launched["run"]),
        (Some(0), &"loadkit.launch/1".into(), &"00000000000000aa".into())
    );
    let last: Value = serde_json::from_slice(&log.lock().unwrap()[2].body).unwrap();
    assert_eq!(last["once"], "build-7");
}

#[test]
fn what_the_fleet_refuses_is_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    planned(folder.path());
    let error =
        |error: &str, rule: Option<&str>| json!({ "error": error, "rule": rule, "help": "ask for less" }).to_string();
    for (status, body, code, why) in [
        (403, error("the rule \"staging only\" refuses it", Some("staging only")), 1, "staging only"),
        (429, error("the run needs 3,000 of the quota", Some("Lambda: Concurrent executions")), 1, "3,000"),
        (400, error("plan:3: players are numbers", None), 2, "plan:3"),
        (404, error("there is no run 00000000000000aa", None), 2, "there is no run"),
    ] {
        let (fleet, _) = service(move |_, _| Answer::new(status, body.clone()));
        let output = run(folder.path(), &["launch", "--plan", "plan.toml", "--fleet", &fleet]);
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.err.contains(why) && output.err.contains("mend it: ask for less"), "{output:?}");
    }
}

#[test]
fn wrong_use_is_told_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    planned(folder.path());
    fs::write(folder.path().join("bad.toml"), "bots = \"many\"\n").unwrap();
    fs::write(folder.path().join("bare.toml"), "bots = 5\nduration = \"1m\"\n").unwrap();
    for (args, why) in [
        (&["launch"][..], "--plan plan.toml"),
        (&["launch", "--plan", "none.toml"], "none.toml cannot be read"),
        (&["launch", "--plan", "bad.toml"], "bad.toml"),
        (&["launch", "--plan", "bare.toml"], "--target HOST:PORT"),
        (&["launch", "--plan", "plan.toml", "--label", "x"], "write KEY=VALUE"),
        (&["launch", "--plan", "plan.toml", "--set", "client=nowhere"], "nowhere is no file"),
        (&["watch", "zz"], "16 hexadecimal digits"),
        (&["dial", "latest", "much"], "invalid"),
        (&["gate", "here", "there"], "\"here\" is neither a folder of a report nor a run's id"),
        (&["gate", "here"], "2 values required"),
        (&["serve", "--listen", "0.0.0.0:0"], "--tokens"),
        (&["serve", "--plans", "nowhere"], "give the folder in which the plans are"),
        (&["publish"], "--stack"),
        (&["publish", "--repository", "bots"], "NAME:TAG"),
    ] {
        let output = run(folder.path(), args);
        assert!(output.code == Some(2) && output.err.contains(why), "{args:?}: {output:?}");
    }
}

#[test]
fn an_estimate_says_what_it_would_take_and_what_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    planned(folder.path());
    let (code, estimate) = json(folder.path(), &["estimate", "--plan", "plan.toml", "--set", "workers=3"]);
    assert_eq!(
        (code, &estimate["schema"], &estimate["workers"], &estimate["players"]),
        (Some(0), &"loadkit.estimate/1".into(), &3.into(), &1200.into()),
        "{estimate}"
    );
    let words = run(folder.path(), &["estimate", "--plan", "plan.toml", "--target", "8.8.8.8:53"]);
    assert_eq!(words.code, Some(1), "{words:?}");
    for part in ["1,200 players by 1 worker on local", "Quotas\n", "Cost: $0.00", "REFUSED by"] {
        assert!(words.out.contains(part), "{part}: {}", words.out);
    }
    assert!(!folder.path().join("target").exists(), "an estimate keeps nothing");
}

#[test]
fn a_service_says_where_it_is_and_ends_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--set", "client=/bin/true", "--tokens", "--first-token", "ops"];
    let mut serving = command(folder.path(), &serve);
    let child = Child::start(serving.stdout(std::process::Stdio::piped()));
    let line = child.first_line(LIMIT);
    assert!(line.starts_with("the fleet listens on http://127.0.0.1:"), "{line}");
    let token = child.first_line(LIMIT);
    let token = token.strip_prefix("LOADKIT_TOKEN=").unwrap_or_else(|| panic!("{token}"));
    // It is found by its mark; its token opens it.
    let unknown = run(folder.path(), &["runs"]);
    assert!(unknown.code == Some(4) && unknown.err.contains("LOADKIT_TOKEN"), "{unknown:?}");
    let mut known = command(folder.path(), &["runs"]);
    let known = Child::run(known.env("LOADKIT_TOKEN", token), LIMIT);
    assert_eq!((known.code, known.out.as_str()), (Some(0), "There are none.\n"), "{known:?}");
    child.signal("TERM");
    let ended = child.wait(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(run(folder.path(), &["runs"]).out, "There are none.\n", "its data are read without it");
}
