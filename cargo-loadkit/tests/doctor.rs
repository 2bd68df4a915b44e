//! `doctor` of a fleet on AWS: what it says of credentials and quotas, against a server that answers in place of AWS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use common::{LIMIT, command};
use loadkit_tests::{Answer, Asked, Child, serve_http};
use serde_json::{Value, json};

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <GetCallerIdentityResult>
    <Arn>arn:aws:sts::123456789012:assumed-role/builds/ci</Arn><UserId>AROA:ci</UserId><Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>";

/// AWS, as far as it is asked: these functions at a time, these vCPUs.
fn aws(functions: u64, vcpus: f64) -> SocketAddr {
    serve_http(move |asked| match service(&asked).as_str() {
        "sts" if asked.body == b"Action=GetCallerIdentity&Version=2011-06-15" => Answer::new(200, IDENTITY),
        "lambda" => {
            Answer::new(200, json!({ "AccountLimit": { "UnreservedConcurrentExecutions": functions } }).to_string())
        }
        "servicequotas" => Answer::new(200, json!({ "Quota": { "Value": vcpus } }).to_string()),
        other => Answer::new(400, format!("{{\"__type\":\"Unexpected\",\"message\":\"{other}\"}}")),
    })
}

/// STS, which says no.
fn no(code: &'static str) -> SocketAddr {
    serve_http(move |_| {
        let error = format!("<Code>{code}</Code><Message>for a test</Message>");
        Answer::new(403, format!("<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"))
    })
}

/// For which service a request was signed.
fn service(asked: &Asked) -> String {
    let signed = asked.header("authorization").unwrap_or_default();
    signed.split('/').nth(3).unwrap_or_default().to_owned()
}

fn doctor(at: SocketAddr, args: &[&str]) -> Command {
    let folder = std::env::temp_dir();
    let mut command = command(&folder, &[&["doctor", "--fleet", "https://fleet.test"], args].concat());
    command.envs([("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")]);
    command.env("AWS_ENDPOINT_URL", format!("http://{at}"));
    command
}

/// The findings of these names.
fn found(command: &mut Command, names: &[&str]) -> Vec<Value> {
    let output = Child::run(command.arg("--json"), LIMIT);
    assert!(!output.out.contains("hush") && !output.err.contains("hush"), "a secret is shown: {output:?}");
    let found: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let all = found["checks"].as_array().unwrap();
    let of = |name: &&str| all.iter().find(|check| check["name"] == **name).cloned();
    names.iter().map(|name| of(name).unwrap_or_else(|| panic!("no {name}: {found}"))).collect()
}

#[test]
fn an_account_with_room_is_in_order() {
    let at = aws(1_000, 300.0);
    let all = found(&mut doctor(at, &["--bots", "100000"]), &["credentials", "lambda", "fargate"]);
    assert!(all.iter().all(|check| check["state"] == "ok"), "{all:?}");
    let [credentials, lambda, fargate] = [0, 1, 2].map(|n| all[n]["found"].as_str().unwrap());
    assert_eq!(
        credentials,
        "good: arn:aws:sts::123456789012:assumed-role/builds/ci in account 123456789012, eu-west-1"
    );
    assert_eq!(lambda, "1,000 functions may run at a time, 200 needed for 100,000 players");
    assert_eq!(fargate, "300 vCPUs at a time, 40 needed: 20 tasks for 100,000 players");
}

#[test]
fn a_short_quota_comes_with_the_line_that_raises_it() {
    let at = aws(10, 6.0);
    for (runner, name, raise) in [
        ("lambda", "lambda", "--service-code lambda --quota-code L-B99A9384 --desired-value 200"),
        ("fargate", "fargate", "--service-code fargate --quota-code L-3032A538 --desired-value 40"),
    ] {
        let mut command = doctor(at, &["--bots", "100000", "--set", &format!("runner={runner}")]);
        let output = Child::run(&mut command, LIMIT);
        assert_eq!(output.code, Some(1), "{output:?}");
        let mended = output.out.lines().find(|line| line.contains("request-service-quota-increase"));
        assert!(mended.is_some_and(|line| line.ends_with(raise)), "{}", output.out);
        let check = &found(&mut command, &[name])[0];
        assert_eq!(check["state"], "fault", "{check}");
    }
    let both = found(&mut doctor(at, &["--bots", "100000"]), &["lambda", "fargate"]);
    assert!(both.iter().all(|check| check["state"] == "warning"), "the fleet may choose: {both:?}");
}

#[test]
fn credentials_that_are_not_good_come_with_the_line_that_mends_them() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (at, what, remedy) in [
        (
            no("ExpiredToken"),
            "they have ended: STS GetCallerIdentity: ExpiredToken: for a test",
            "aws sso login && eval",
        ),
        (no("InvalidClientTokenId"), "AWS does not take them: ", "eval \"$(aws configure export-credentials"),
        (no("SignatureDoesNotMatch"), "AWS does not take them: ", "eval \"$(aws configure export-credentials"),
        (nobody, "nobody can be asked whether they are good: ", "curl -sS https://sts.eu-west-1.amazonaws.com"),
    ] {
        let all = found(&mut doctor(at, &[]), &["credentials", "quotas"]);
        assert_eq!(all[0]["state"], "fault", "{all:?}");
        assert!(all[0]["found"].as_str().unwrap().starts_with(what), "{all:?}");
        assert!(all[0]["remedy"].as_str().unwrap().starts_with(remedy), "{all:?}");
        assert_eq!(all[1]["state"], "unknown");
    }
    let mut ended = doctor(nobody, &[]);
    let check = &found(ended.env("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z"), &["credentials"])[0];
    assert!(check["found"].as_str().unwrap().starts_with("they ended "), "{check}");
}

#[test]
fn who_may_not_ask_for_quotas_is_told_which_right_is_missing() {
    let at = serve_http(|asked| match service(&asked).as_str() {
        "sts" => Answer::new(200, IDENTITY),
        _ => Answer::new(403, r#"{"__type":"AccessDeniedException","message":"not authorized"}"#),
    });
    let all = found(&mut doctor(at, &[]), &["lambda", "fargate"]);
    assert!(all.iter().all(|check| check["state"] == "unknown"), "{all:?}");
    assert_eq!(all[0]["found"], "these credentials may not ask: allow lambda:GetAccountSettings");
    assert_eq!(all[1]["found"], "these credentials may not ask: allow servicequotas:GetServiceQuota");
}
