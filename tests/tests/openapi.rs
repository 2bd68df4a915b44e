//! The fleet's OpenAPI document, by the judgement of a validator that others wrote and keep.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadkit_fleet::api::openapi_json;
use loadkit_tests::Child;
use serde_json::Value;

/// Where the Python package openapi-spec-validator is.
const PACKAGES: &str = "LOADKIT_TEST_OPENAPI_PYTHON";
const LIMIT: Duration = Duration::from_secs(60);

/// Whether the validator finds nothing wrong, and what it says.
fn judged(packages: &Path, document: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    fs::write(&file, document).unwrap();
    let mut python = Command::new("python3");
    python.args(["-m", "openapi_spec_validator"]).arg(file).env("PYTHONPATH", packages);
    let output = Child::run(&mut python, LIMIT);
    (output.code == Some(0), format!("{}{}", output.out, output.err))
}

#[test]
fn the_document_is_openapi() {
    let Some(packages) = env::var_os(PACKAGES).map(PathBuf::from) else {
        println!("left out: {PACKAGES} does not say where openapi-spec-validator is; `cargo xtask test` brings it");
        return;
    };
    let document = openapi_json();
    let (is_valid, said) = judged(&packages, &document);
    assert!(is_valid, "{said}");

    // It does look: a parameter of no place, an answer that is not described, a part of a path that nothing names.
    for (pointer, wrong) in [
        ("/paths/~1v1~1runs~1{id}/get/parameters/0/in", Value::from("nowhere")),
        ("/paths/~1v1~1runs~1{id}/get/responses/200", serde_json::json!({})),
        ("/paths/~1v1~1runs~1{id}/get/parameters", Value::Array(Vec::new())),
    ] {
        let mut document: Value = serde_json::from_str(&document).unwrap();
        *document.pointer_mut(pointer).unwrap() = wrong;
        let (is_valid, said) = judged(&packages, &document.to_string());
        assert!(!is_valid, "{pointer}: {said}");
    }
}
