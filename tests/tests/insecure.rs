//! A server whose certificate does not verify: refused, and with `--insecure` accepted and told of in the report.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use loadkit_tests::{Child, Output, Served};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

fn play(target: &str, more: &[&str]) -> (Output, Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client.current_dir(dir.path()).args(["run", "--scenario", "tcp", "--target", target]);
    let output = Child::run(client.args(["--bots", "3", "--duration", "1500ms"]).args(more), LIMIT);
    let json = std::fs::read(dir.path().join("report/report.json")).unwrap();
    let page = std::fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    (output, serde_json::from_slice(&json).unwrap(), page)
}

#[test]
fn a_certificate_that_does_not_verify() {
    let target = format!("tls://{}", Served::Tls.serve());
    let (output, report, _) = play(&target, &[]);
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(report["steps"]["connect"]["failed_by_kind"]["certificate"].as_u64().unwrap() >= 3, "{report:#}");
    let said = report["failures"][0]["message"].as_str().unwrap();
    assert!(said.contains(&target) && said.contains("--insecure"), "{said}");

    let (output, report, page) = play(&target, &["--insecure"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(report["connections"]["counts"]["net.tls_unverified"]["total"], 3, "{report:#}");
    let warning = report["judgement"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("3 connections were made without verifying"), "{warning}");
    assert!(output.out.contains("without verifying") && page.contains("without verifying"), "{}", output.out);
    assert!(report["steps"]["ping"]["succeeded"].as_u64().unwrap() > 10);
}
