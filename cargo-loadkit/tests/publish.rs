//! A package put where a fleet finds it: against stubs of Lambda and ECR.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{LIMIT, command};
use loadkit_tests::{Answer, Asked, Child, Output, serve_http};
use serde_json::{Value, json};

/// What the stub has been given.
#[derive(Debug, Default)]
struct Held {
    zip: String,
    /// The function is changing for so many questions more.
    changing: u32,
    blobs: BTreeMap<String, Vec<u8>>,
    upload: Vec<u8>,
    tags: BTreeMap<String, Value>,
    sent: usize,
}

/// Base64 without a crate: the stub has to read what was sent.
fn decode(text: &str) -> Vec<u8> {
    let value =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let digits: Vec<usize> = text.bytes().filter_map(value).collect();
    let pack = |four: &[usize]| -> Vec<u8> {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes()[5..5 + four.len() * 3 / 4].to_vec()
    };
    digits.chunks(4).flat_map(pack).collect()
}

/// Lambda and ECR, as far as they are asked here.
fn aws() -> (SocketAddr, Arc<Mutex<Held>>) {
    let held = Arc::new(Mutex::new(Held::default()));
    let shared = held.clone();
    let at = serve_http(move |asked: Asked| {
        let mut held = shared.lock().unwrap();
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        assert!(asked.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
        if let Some(action) = asked.header("x-amz-target") {
            return ecr(&mut held, action.rsplit('.').next().unwrap(), &body);
        }
        let function = asked.path.strip_prefix("/2015-03-31/functions/").unwrap().to_owned();
        if !function.starts_with("loadkit-worker/") {
            let error = r#"{"Message":"Function not found"}"#;
            let kind = ("x-amzn-errortype".to_owned(), "ResourceNotFoundException".to_owned());
            return Answer { headers: vec![kind], ..Answer::new(404, error) };
        }
        if asked.method == "PUT" {
            held.sent += 1;
            held.changing = 1;
            held.zip = loadkit_aws::FunctionCode::sha256_of(&decode(body["ZipFile"].as_str().unwrap()));
        } else {
            held.changing = held.changing.saturating_sub(1);
        }
        let status = if asked.method == "PUT" { "InProgress" } else { "Successful" };
        let code = json!({ "Architectures": ["x86_64"], "CodeSha256": held.zip, "LastUpdateStatus": status, "PackageType": "Zip" });
        Answer::new(200, code.to_string())
    });
    (at, held)
}

fn ecr(held: &mut Held, action: &str, body: &Value) -> Answer {
    if body["repositoryName"] != "bots" {
        return Answer::new(400, r#"{"__type":"RepositoryNotFoundException","message":"no such repository"}"#);
    }
    let answer = match action {
        "BatchCheckLayerAvailability" => {
            let of = |digest: &Value| {
                let there = held.blobs.contains_key(digest.as_str().unwrap());
                json!({ "layerDigest": digest, "layerAvailability": if there { "AVAILABLE" } else { "UNAVAILABLE" } })
            };
            json!({ "layers": body["layerDigests"].as_array().unwrap().iter().map(of).collect::<Vec<_>>() })
        }
        "InitiateLayerUpload" => {
            held.upload.clear();
            json!({ "uploadId": "u", "partSize": 64 })
        }
        "UploadLayerPart" => {
            let part = decode(body["layerPartBlob"].as_str().unwrap());
            assert_eq!(body["partFirstByte"], held.upload.len());
            held.upload.extend(&part);
            assert_eq!(body["partLastByte"], held.upload.len() - 1);
            json!({})
        }
        "CompleteLayerUpload" => {
            held.sent += 1;
            let digest = body["layerDigests"][0].as_str().unwrap().to_owned();
            let blob = std::mem::take(&mut held.upload);
            held.blobs.insert(digest, blob);
            json!({})
        }
        "PutImage" => {
            held.tags.insert(body["imageTag"].as_str().unwrap().to_owned(), body.clone());
            json!({})
        }
        other => panic!("nobody asks for {other}"),
    };
    Answer::new(200, answer.to_string())
}

/// A crate, and what `package` would have written of it.
fn packaged(folder: &Path) -> (Vec<u8>, String) {
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("Cargo.toml", b"[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n");
    write("src/main.rs", b"fn main() {}\n");
    let zip: Vec<u8> = (0..1_000_u32).map(|at| (at % 251) as u8).collect();
    write("target/loadkit/small-lambda-x86_64.zip", &zip);
    let layout = "target/loadkit/small-image-x86_64";
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = sha256(folder, bytes);
        write(&format!("{layout}/blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let config = blob("application/vnd.oci.image.config.v1+json", br#"{"architecture":"amd64","os":"linux"}"#);
    let layer = blob("application/vnd.oci.image.layer.v1.tar+gzip", &[7; 150]);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer],
    });
    let manifest = blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    write(&format!("{layout}/index.json"), index.to_string().as_bytes());
    (zip, manifest["digest"].as_str().unwrap().to_owned())
}

/// By a tool of the system: another than the one that is tested.
fn sha256(folder: &Path, bytes: &[u8]) -> String {
    let path = folder.join("blob");
    fs::write(&path, bytes).unwrap();
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn publish(folder: &Path, at: SocketAddr, args: &[&str]) -> Output {
    let mut command = command(folder, &[&["publish"][..], args].concat());
    command.env("AWS_ENDPOINT_URL", format!("http://{at}")).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "hush");
    Child::run(&mut command, LIMIT)
}

#[test]
fn zip_and_image_are_where_the_fleet_finds_them_and_are_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let (zip, digest) = packaged(folder.path());
    let (at, held) = aws();
    let args = ["--stack", "loadkit", "--repository", "1.dkr.ecr.eu-west-1.amazonaws.com/bots:build-7"];
    let output = publish(folder.path(), at, &[&args[..], &["--json"]].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let published: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(published["schema"], "loadkit.publish/1");
    assert_eq!(
        (&published["function"]["function"], &published["function"]["changed"]),
        (&"loadkit-worker".into(), &true.into())
    );
    assert_eq!(
        (&published["image"]["digest"], &published["image"]["sent_bytes"]),
        (&digest.into(), &(150 + 37).into())
    );
    let was = held.lock().unwrap();
    assert_eq!(was.zip, loadkit_aws::FunctionCode::sha256_of(&zip));
    assert!(was.blobs.values().any(|blob| *blob == [7; 150]) && was.blobs.len() == 2 && was.sent == 3);
    assert_eq!(was.tags["build-7"]["imageDigest"], published["image"]["digest"]);
    assert!(was.tags["build-7"]["imageManifest"].as_str().unwrap().contains("schemaVersion"));
    drop(was);
    let again = publish(folder.path(), at, &args);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        again.out.contains("loadkit-worker has this code already") && again.out.contains("was there already"),
        "{again:?}"
    );
    assert_eq!(held.lock().unwrap().sent, 3, "nothing is sent twice");
}

#[test]
fn what_is_missing_is_named_with_what_brings_it() {
    let folder = tempfile::tempdir().unwrap();
    packaged(folder.path());
    let (at, _) = aws();
    let lost = publish(folder.path(), at, &["--function", "other"]);
    assert!(lost.code == Some(4) && lost.err.contains("deploy the stack of deploy/aws"), "{lost:?}");
    let lost = publish(folder.path(), at, &["--repository", "others:1"]);
    assert!(
        lost.code == Some(4) && lost.err.contains("aws ecr create-repository --repository-name others"),
        "{lost:?}"
    );
    let unpacked = publish(folder.path(), at, &["--stack", "loadkit", "--from", "elsewhere"]);
    assert!(unpacked.code == Some(2) && unpacked.err.contains("cargo loadkit package --triple x86-64"), "{unpacked:?}");
    let unpacked = publish(folder.path(), at, &["--repository", "bots:1", "--from", "elsewhere"]);
    assert!(unpacked.code == Some(2) && unpacked.err.contains("cargo loadkit package"), "{unpacked:?}");
    let nobody = Child::run(&mut command(folder.path(), &["publish", "--stack", "loadkit"]), LIMIT);
    assert!(nobody.code == Some(4) && nobody.err.contains("no AWS region"), "{nobody:?}");
    let expired = serve_http(|_| Answer::new(403, r#"{"__type":"ExpiredTokenException","message":"it is expired"}"#));
    let expired = publish(folder.path(), expired, &["--stack", "loadkit"]);
    assert!(expired.code == Some(4) && expired.err.contains("export-credentials"), "{expired:?}");
}
