//! `package`, then `publish`, on an emulator of AWS that others have written: it has the code and the manifest that were packaged.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{LIMIT, command, json};
use loadkit_aws::{ECR, FunctionCode, LAMBDA};
use loadkit_tests::Child;
use loadkit_tests::cloud::{Cloud, Tasks, packages};
use serde_json::{Value, json};

/// A zip with nothing in it, as base64: what the function has before.
const EMPTY: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";
const FUNCTIONS: &str = "/2015-03-31/functions";

/// A repository of images and a function, as the template has them.
fn deploy(cloud: &Cloud) {
    let function = json!({
        "FunctionName": "loadkit-worker", "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Role": "arn:aws:iam::000000000000:role/worker", "Architectures": ["x86_64"], "Code": { "ZipFile": EMPTY },
    });
    cloud.call(&LAMBDA, "POST", FUNCTIONS, function.to_string().into_bytes()).unwrap();
    let repository = json!({ "repositoryName": "bots" });
    cloud.wait(cloud.client().json(&ECR, "CreateRepository", &repository)).unwrap();
}

fn publish(folder: &Path, cloud: &Cloud) -> Value {
    let args = ["publish", "--stack", "loadkit", "--repository", "bots:build-7", "--json"];
    let mut command = command(folder, &args);
    command.env("AWS_ENDPOINT_URL", cloud.url()).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let output = Child::run(&mut command, LIMIT);
    assert_eq!(output.code, Some(0), "{output:?}");
    serde_json::from_str(&output.out).unwrap()
}

#[test]
fn what_was_packaged_is_what_the_cloud_has() {
    let Some(packages) = packages() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").unwrap();
    let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n\n[features]\nlambda = []\nfargate = []\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let (code, packaged) =
        json(folder.path(), &["package", "--cargo-profile", "dev", "--triple", "x86_64-unknown-linux-gnu"]);
    if cfg!(not(target_arch = "x86_64")) && code == Some(4) {
        println!("left out: the function's machine cannot be compiled for here: {}", packaged["error"]);
        return;
    }
    assert_eq!(code, Some(0), "{packaged}");

    let cloud = Cloud::start(&packages, &Tasks::of("/bin/true"));
    deploy(&cloud);
    let published = publish(folder.path(), &cloud);
    let out = folder.path().join("target/loadkit");
    let zip = fs::read(out.join("small-lambda-x86_64.zip")).unwrap();
    assert_eq!(published["function"]["changed"], true, "{published}");
    let function = cloud.call(&LAMBDA, "GET", &format!("{FUNCTIONS}/loadkit-worker"), Vec::new()).unwrap();
    let function: Value = serde_json::from_slice(&function.body).unwrap();
    assert_eq!(function["Configuration"]["CodeSha256"], FunctionCode::sha256_of(&zip), "{function}");
    assert_eq!(function["Configuration"]["CodeSize"], zip.len(), "{function}");

    let asked = json!({ "repositoryName": "bots", "imageIds": [{ "imageTag": "build-7" }] });
    let images = cloud.wait(cloud.client().json(&ECR, "BatchGetImage", &asked)).unwrap();
    let image = &images["images"][0];
    assert_eq!(
        (&image["imageId"]["imageDigest"], &packaged["image"]),
        (&packaged["image"], &published["image"]["digest"])
    );
    let digest = packaged["image"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let manifest = fs::read_to_string(out.join("small-image-x86_64/blobs/sha256").join(digest)).unwrap();
    assert_eq!(image["imageManifest"], manifest.as_str());

    let again = publish(folder.path(), &cloud);
    assert_eq!(again["function"]["changed"], false, "{again}");
}
