//! Signatures against botocore, AWS's own library for Python.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Asked, Does, Fake, config, folder};
use loadkit_aws::{Call, Client, Credentials, DYNAMODB, LAMBDA, Source};
use loadkit_worker::{Item, Key};
use serde_json::json;

/// What botocore signs of a request that was seen.
fn signed_by_botocore(packages: &str, fake: &Fake, asked: &Asked, service: &str) -> String {
    let mut words = asked.line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let signed = ["host", "content-type", "x-amz-target", "x-amz-invocation-type"];
    let headers: serde_json::Map<_, _> = asked
        .headers
        .iter()
        .filter(|(name, _)| signed.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let request = json!({
        "method": method, "url": format!("http://{}{path}", fake.at), "headers": headers, "body": asked.body,
        "service": service, "at": asked.header("x-amz-date"), "token": asked.header("x-amz-security-token"),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sign.py");
    let mut python = Command::new("timeout");
    python.args(["--kill-after=5", "60", "python3"]).arg(script).env("PYTHONPATH", packages);
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn botocore_signs_as_we_do() {
    let Some(packages) = folder("LOADKIT_TEST_MINISTACK") else { return };
    let fake = Fake::new(|_, _| Does::Says(200, "{}".into()));
    let client = Client::new(config(fake.at));
    let mut with_token = config(fake.at);
    with_token.source = Source::Fixed(Credentials::new("test", "test", Some("a/token+==")));
    let with_token = Client::new(with_token);
    let item = Item::new(Key::new("p", "\u{e4} \u{1f3ae}"), "x");
    client.json(&DYNAMODB, "PutItem", &json!({ "Item": item.key.sort })).await.unwrap();
    with_token.json(&DYNAMODB, "GetItem", &json!({})).await.unwrap();
    let call = Call {
        service: &LAMBDA,
        action: "Invoke",
        method: "POST",
        path: "/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:a b/invocations",
        query: &[("Qualifier", "$LATEST"), ("A", "b c/\u{e9}")],
        headers: &[("content-type", "application/json"), ("x-amz-invocation-type", "Event")],
        body: "{}".into(),
    };
    client.call(&call).await.unwrap();
    for (asked, service) in fake.asked().iter().zip(["dynamodb", "dynamodb", "lambda"]) {
        let ours = asked.header("authorization").unwrap().rsplit('=').next().unwrap();
        assert_eq!(ours, signed_by_botocore(&packages, &fake, asked, service), "{}", asked.line);
    }
}
