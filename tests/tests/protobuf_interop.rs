//! Our generics and other languages' plain Protobuf are the same bytes, both ways.
//!
//! Rust makes random messages of a schema full of type parameters. Another language, which knows of none, builds them
//! anew from their fields, and reads what Rust has written; Rust reads what the other has written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadkit::core::Seed;
use loadkit_tests::samples::{Sample, samples};
use loadkit_tests::{Child, schema};
use serde_json::{Value, json};

/// Messages of each of the twelve types.
const EACH: u64 = 150;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn googles_python_reads_and_writes_the_same_bytes() {
    let Some(packages) = packages("LOADKIT_TEST_PROTOBUF_PYTHON", "the Python package protobuf") else { return };
    agrees(|descriptors| {
        let mut python = Command::new("python3");
        python.arg(script("protobuf.py")).arg(descriptors).env("PYTHONPATH", packages);
        python
    });
}

#[test]
fn googles_javascript_reads_and_writes_the_same_bytes() {
    let Some(packages) = packages("LOADKIT_TEST_PROTOBUF_NODE", "the Node package google-protobuf") else { return };
    agrees(|descriptors| node("google_protobuf.cjs", descriptors, packages));
}

#[test]
fn protobuf_es_reads_and_writes_the_same_bytes() {
    let Some(packages) = packages("LOADKIT_TEST_PROTOBUF_NODE", "the Node package @bufbuild/protobuf") else { return };
    agrees(|descriptors| node("protobuf_es.cjs", descriptors, packages));
}

/// Has another language read and write messages. `command` gets the file with the schema.
fn agrees(command: impl FnOnce(&Path) -> Command) {
    let folder = tempfile::tempdir().unwrap();
    let (descriptors, asked) = (folder.path().join("schema.binpb"), folder.path().join("asked.jsonl"));
    fs::write(&descriptors, schema::DESCRIPTORS).unwrap();
    let samples = samples(Seed(42), EACH);
    assert_eq!(hex(&samples[0].bytes), "08031007 7a050801 10d804".replace(' ', ""), "as the document has it");
    let lines =
        samples.iter().map(|sample| json!({ "tree": sample.tree, "hex": hex(&sample.bytes) }).to_string() + "\n");
    fs::write(&asked, lines.collect::<String>()).unwrap();

    let output = Child::run(command(&descriptors).arg(&asked), LIMIT);
    assert_eq!(output.code, Some(0), "{}", output.err);

    let answers: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), samples.len(), "{}", output.err);
    for (sample, answer) in samples.iter().zip(&answers) {
        agree(sample, answer);
    }
    let bytes: usize = samples.iter().map(|sample| sample.bytes.len()).sum();
    println!("{} messages of {bytes} bytes, both ways", samples.len());
}

fn agree(sample: &Sample, answer: &Value) {
    let Sample { name, tree, bytes, again } = sample;
    let ours = hex(bytes);
    assert_eq!(answer["written"], *ours, "{name} as the other writes it: {tree}");
    assert_eq!(answer["again"], *ours, "{name} as the other has read and written it: {tree}");
    assert_eq!(answer["same"], true, "{name}: what the other has read of ours has other fields: {tree}");
    let theirs = unhex(answer["written"].as_str().unwrap());
    assert_eq!(again(&theirs).map(|bytes| hex(&bytes)), Some(ours), "{name} as we have read and written theirs");
}

fn node(name: &str, descriptors: &Path, packages: OsString) -> Command {
    let mut node = Command::new("node");
    node.arg(script(name)).arg(descriptors).env("NODE_PACKAGES", packages);
    node
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

/// Where the packages of another language are, or a word that they are missing.
fn packages(variable: &str, what: &str) -> Option<OsString> {
    let found = env::var_os(variable);
    if found.is_none() {
        println!("left out: {variable} does not say where {what} is");
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
