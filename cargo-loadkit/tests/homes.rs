//! What `package` writes, where it is meant to be: the zip under Lambda's runtime API, the image in a container, the bill before a
//! validator of others. Nothing but what was written is used.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use loadkit_core::Plan;
use loadkit_tests::container::{Engine, Image};
use loadkit_tests::{Army, Child, Output, RuntimeApi};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A client of everything, compiled for one more target, on a machine with other work to do.
const COMPILING: Duration = Duration::from_secs(3_000);
const LIMIT: Duration = Duration::from_secs(60);
/// What a Lambda of the longest time-out has.
const LONG: Duration = Duration::from_secs(900);
/// The build that the client is told to belong to.
const BUILD: &str = "2.31.0";
/// Players of a run, half of them of each of its two workers, in parties of three.
const PLAYERS: u64 = 12;
/// Where the Python package cyclonedx-python-lib is.
const VALIDATOR: &str = "LOADKIT_TEST_CYCLONEDX_PYTHON";

/// What was written, by what it is called there.
struct Packaged {
    said: Value,
    files: BTreeMap<String, PathBuf>,
    _folder: tempfile::TempDir,
}

/// Packages the arena of a workspace, as a build does; the target is static by any linker.
fn package(workspace: &Path, profile: &str, target: Option<&Path>) -> Packaged {
    let folder = tempfile::tempdir().unwrap();
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let build = format!("build={BUILD}");
    let mut args = vec!["package", "--set", "package=arena", "--set", &build, "--cargo-profile", profile];
    args.extend(["--triple", &triple, "--json", "--out"]);
    let mut command = common::command(workspace, &args);
    command.arg(folder.path());
    match target {
        Some(target) => drop(command.env("CARGO_TARGET_DIR", target)),
        // Nobody debugs it, and it compiles sooner.
        None => drop(command.env("CARGO_PROFILE_DEV_DEBUG", "0")),
    }
    let output = Child::run(&mut command, COMPILING);
    assert_eq!(output.code, Some(0), "{output:?}");
    let said: Value = serde_json::from_str(&output.out).unwrap();
    let written = said["written"].as_array().unwrap().iter().map(|written| {
        (written["what"].as_str().unwrap().to_owned(), PathBuf::from(written["path"].as_str().unwrap()))
    });
    let files = written.collect();
    Packaged { said, files, _folder: folder }
}

/// What all tests have in common, because it takes a minute to compile.
fn packaged() -> &'static Packaged {
    static PACKAGED: OnceLock<Packaged> = OnceLock::new();
    PACKAGED.get_or_init(|| package(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), "dev", None))
}

/// The zip's bootstrap, as Lambda unpacks it.
fn bootstrap(folder: &Path) -> PathBuf {
    let zip = fs::read(&packaged().files["Lambda zip"]).unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    assert_eq!(zip.len(), 1);
    let mut file = zip.by_name("bootstrap").unwrap();
    let (path, mode) = (folder.join("bootstrap"), file.unix_mode().unwrap());
    std::io::copy(&mut file, &mut fs::File::create(&path).unwrap()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// The layout's image, unpacked as engines do: each blob by its digest, the configuration's entrypoint and user.
fn unpacked(layout: &Path, root: &Path) -> Image {
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
        let own: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((own.as_str(), Some(bytes.len() as u64)), (digest, descriptor["size"].as_u64()));
        bytes
    };
    let json = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).unwrap() };
    let index = json(fs::read(layout.join("index.json")).unwrap());
    let manifest = json(blob(&index["manifests"][0]));
    let config = json(blob(&manifest["config"]));
    for layer in manifest["layers"].as_array().unwrap() {
        let packed = blob(layer);
        tar::Archive::new(GzDecoder::new(packed.as_slice())).unpack(root).unwrap();
    }
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let config = &config["config"];
    let (user, group) = config["User"].as_str().unwrap().split_once(':').unwrap();
    let user = (user.parse().unwrap(), group.parse().unwrap());
    Image { root: root.to_owned(), entrypoint: texts(&config["Entrypoint"]), variables: texts(&config["Env"]), user }
}

/// The arena's server, by the packaged client itself, and where it listens.
fn server(client: &Path) -> (Child, String) {
    let mut server = Command::new(client);
    server.args(["server", "--listen", "127.0.0.1:0", "--match-time", "1s"]).env_clear();
    let server = Child::start(server.stdout(Stdio::piped()));
    let line = server.first_line(LIMIT);
    (server, line.rsplit(' ').next().unwrap().to_owned())
}

fn army(target: &str) -> Army {
    let plan = Plan::builder().target(target).bots(PLAYERS).party(3).grace(Duration::from_secs(5));
    Army::new(&plan.duration(Duration::from_secs(4)).build().unwrap(), 2, BUILD)
}

/// Worker 0 of this home has played its half and said so, and which build it is.
fn has_played(army: &Army, home: &str) {
    let lease = json!(army.lease(0, 0).unwrap());
    let (status, end) = (&lease["status"], &lease["end"]);
    assert_eq!((&lease["phase"], &status["home"]), (&"ended".into(), &home.into()), "{lease}");
    assert!(end["error"].is_null() && end["cut_short"].is_null(), "{lease}");
    let stamp = &status["stamp"];
    assert_eq!((&stamp["build"], &stamp["commit"]), (&BUILD.into(), &packaged().said["commit"]), "{stamp}");
    let figures = army.figures();
    let totals = figures.totals();
    assert_eq!((totals.started, totals.steps["login"].succeeded()), (PLAYERS / 2, PLAYERS / 2));
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
}

#[test]
fn the_zip_plays_under_lambdas_runtime_api() {
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = bootstrap(folder.path());
    let (_server, target) = server(&bootstrap);
    let army = army(&target);
    let api = RuntimeApi::new();
    // Lambda's machines have nothing of this one: no library, no variable.
    let _process = api.start(Command::new(&bootstrap).env_clear().current_dir(folder.path()).stdout(Stdio::null()));
    let id = api.invoke(army.job(0).to_json(), LONG);
    let answered = api.answered(LIMIT);
    assert_eq!((&answered.id, answered.is_error), (&id, false), "{answered:?}");
    assert_eq!((&answered.body["outcome"], &answered.body["closed"]), (&"played".into(), &true.into()), "{answered:?}");
    has_played(&army, "lambda");
}

#[test]
fn the_image_plays_in_a_container() {
    let folder = tempfile::tempdir().unwrap();
    let layout = packaged().files["image"].with_extension("");
    let image = unpacked(&layout, &folder.path().join("root"));
    let program = image.root.join(image.entrypoint[0].trim_start_matches('/'));
    let (_server, target) = server(&program);
    let army = army(&target);
    let job = ("LOADKIT_JOB".to_owned(), army.job(0).to_json());
    let output = match Engine::of(image) {
        Ok(engine) => {
            println!("the packaged image plays in a CONTAINER, by {}", engine.name());
            let container = engine.start("loadkit-packaged", &[], &[job], &folder.path().join("kept")).unwrap();
            container.wait(LIMIT)
        }
        Err(why) => {
            println!("NO CONTAINER: the packaged image's program plays as a PROCESS of this machine: {why}");
            Child::run(Command::new(program).env_clear().env(job.0, job.1), LIMIT)
        }
    };
    assert_eq!(output.code, Some(0), "{output:?}");
    has_played(&army, "fargate");
}

/// What the validator says of a file.
fn judged(packages: &Path, bill: &Value) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bill.json");
    fs::write(&file, bill.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/bill_of_materials.py");
    Child::run(Command::new("python3").arg(script).arg(file).env("PYTHONPATH", packages), LIMIT)
}

#[test]
fn the_bill_is_cyclonedx() {
    let Some(packages) = env::var_os(VALIDATOR).map(PathBuf::from) else {
        println!("left out: {VALIDATOR} does not say where cyclonedx-python-lib is; `cargo xtask test` brings it");
        return;
    };
    let bill: Value = serde_json::from_slice(&fs::read(&packaged().files["bill of materials"]).unwrap()).unwrap();
    let output = judged(&packages, &bill);
    assert_eq!(output.code, Some(0), "{output:?}");
    let crates = packaged().said["crates"].as_u64().unwrap();
    assert!(output.out.starts_with(&format!("{} components, ", crates + 1)), "{output:?}");
    println!("cyclonedx-python-lib: {}", output.out.trim());
    // It does look.
    for (pointer, wrong) in [
        ("/bomFormat", json!("CycloneDY")),
        ("/metadata/timestamp", json!("yesterday")),
        ("/metadata/component/hashes/0/content", json!("none")),
        ("/components/0/type", json!("thing")),
        ("/components/0/licenses", json!([{ "expression": "MIT/Apache-2.0" }])),
        ("/components/1/bom-ref", bill["components"][0]["bom-ref"].clone()),
    ] {
        let mut bill = bill.clone();
        *bill.pointer_mut(pointer).unwrap() = wrong;
        let output = judged(&packages, &bill);
        assert_eq!(output.code, Some(1), "{pointer}: {output:?}");
    }
}

/// Two clones of the commit that is checked out, in two folders, each compiled whole: for release, as `package` does by itself.
#[test]
#[ignore = "it compiles the arena for release twice: run it by its name"]
fn two_packagings_of_the_arena_are_the_same_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let git = |args: &[&str], last: &Path| {
        assert!(Command::new("git").args(args).arg(last).status().unwrap().success(), "{args:?}");
    };
    // Both at once: a commit made while the first compiles belongs to neither.
    let clones = ["one", "another/deeper"].map(|name| (name, folder.path().join(name)));
    for (_, clone) in &clones {
        git(&["clone", "--quiet", root.to_str().unwrap()], clone);
    }
    let packaged = clones.map(|(name, clone)| {
        let target = clone.join("built here");
        let began = Instant::now();
        let packaged = package(&clone, "release", Some(&target));
        println!("{name}: packaged in {:.0?}", began.elapsed());
        fs::remove_dir_all(target).unwrap();
        packaged
    });
    let [one, another] = &packaged;
    assert_eq!(one.said["commit"], another.said["commit"]);
    for (what, path) in &one.files {
        let read = |path: &Path| {
            let mut bytes = Vec::new();
            fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let (first, second) = (read(path), read(&another.files[what]));
        println!("{what}: {} bytes, the same: {}", first.len(), first == second);
        assert!(first == second, "{what} differs");
    }
}
