//! `publish --registry`: an image that was packaged, in a registry of others, as its pullers get it; and what is said where it is not
//! taken.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{LIMIT, command, json};
use loadkit_http::http::Request;
use loadkit_http::{Bytes, Http, Limits};
use loadkit_tests::{Answer, Asked, Child, Output, hold, serve_http};
use serde_json::{Value, json};

/// Where Debian's `docker-registry` is.
const REGISTRY: &str = "LOADKIT_TEST_REGISTRY";
/// `ci` and the password `hush`, as that registry has them.
const PASSWORDS: &str = "ci:$2y$05$abcdefghijklmnopqrstuulzd.YqjLDl8lvpSmVj3De/fioSBHnUa\n";
/// The same, as HTTP has them.
const CI_HUSH: &str = "Basic Y2k6aHVzaA==";
const LOGIN: [(&str, &str); 2] = [("LOADKIT_REGISTRY_USER", "ci"), ("LOADKIT_REGISTRY_PASSWORD", "hush")];

/// A crate of one line, packaged: its image's digest.
fn packaged(folder: &Path) -> String {
    fs::create_dir(folder.join("src")).unwrap();
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"small\"\nedition = \"2024\"\n\n[features]\nfargate = []\n",
    )
    .unwrap();
    let args = ["package", "--cargo-profile", "dev", "--only", "image", "--set", "homes=fargate"];
    let (code, packaged) = json(folder, &args);
    assert_eq!(code, Some(0), "{packaged}");
    packaged["image"].as_str().unwrap().to_owned()
}

fn publish(folder: &Path, at: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = command(folder, &["publish", "--registry", at, "--set", "homes=fargate"]);
    Child::run(command.envs(variables.iter().copied()), LIMIT)
}

/// The registry, as a process that wants to know who asks.
fn registry(program: &Path, folder: &Path) -> (Child, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (kept, passwords) = (folder.join("kept"), folder.join("passwords"));
    fs::write(&passwords, PASSWORDS).unwrap();
    let config = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: '{}' }} }}\n\
         http: {{ addr: '{free}' }}\nauth: {{ htpasswd: {{ realm: here, path: '{}' }} }}\n",
        kept.display(),
        passwords.display()
    );
    let path = folder.join("registry.yml");
    fs::write(&path, config).unwrap();
    let child = Child::start(Command::new(program).arg("serve").arg(path).stdout(Stdio::null()));
    let began = Instant::now();
    while TcpStream::connect(free).is_err() {
        assert!(began.elapsed() < LIMIT, "the registry does not start");
        hold(Duration::from_millis(20));
    }
    (child, free)
}

/// What somebody gets who pulls.
fn pulled(at: SocketAddr, path: &str) -> Bytes {
    let limits = Limits { connect: Duration::from_secs(10), call: Duration::from_secs(60), body: 64 << 20 };
    let request = Request::get(format!("http://{at}/v2/bots/{path}")).header("authorization", CI_HUSH);
    let request = request.header("accept", "application/vnd.oci.image.manifest.v1+json").body(Bytes::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Http::new(limits).send(request)).unwrap();
    assert_eq!(answer.status(), 200, "{path}: {answer:?}");
    answer.into_body()
}

#[test]
fn a_real_registry_has_the_image_that_was_packaged() {
    let Some(program) = env::var_os(REGISTRY).map(PathBuf::from) else {
        println!("left out: {REGISTRY} does not say where docker-registry is; `cargo xtask test` installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let digest = packaged(folder.path());
    let (_registry, at) = registry(&program, folder.path());
    let image = format!("http://{at}/bots:build-7");

    let nobody = publish(folder.path(), &image, &[]);
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
    assert!(nobody.err.contains("wants to know who asks\n  mend it: LOADKIT_REGISTRY_USER="), "{nobody:?}");
    let wrong = publish(folder.path(), &image, &[LOGIN[0], ("LOADKIT_REGISTRY_PASSWORD", "guessed")]);
    assert!(wrong.code == Some(4) && wrong.err.contains("does not take the name and the password"), "{wrong:?}");
    assert!(!wrong.err.contains("guessed"));

    let first = publish(folder.path(), &image, &LOGIN);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.starts_with(&format!("{at}/bots:build-7 is {digest} (")) && first.out.ends_with(" sent)\n"));
    let again = publish(folder.path(), &image, &LOGIN);
    assert!(again.code == Some(0) && again.out.ends_with("(was there already)\n"), "{again:?}");

    // By its tag there is the manifest, and by their digests all that it names: as they were packaged.
    let blobs = fs::read_dir(folder.path().join("target/loadkit")).unwrap().flatten().map(|entry| entry.path());
    let blobs = blobs.map(|path| path.join("blobs/sha256")).find(|path| path.is_dir()).unwrap();
    let kept = |digest: &str| fs::read(blobs.join(digest.strip_prefix("sha256:").unwrap())).unwrap();
    let manifest = pulled(at, "manifests/build-7");
    assert_eq!(manifest, kept(&digest));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let named = [&[manifest["config"].clone()], manifest["layers"].as_array().unwrap().as_slice()].concat();
    assert_eq!(named.len(), 2);
    for blob in named {
        let digest = blob["digest"].as_str().unwrap();
        assert!(pulled(at, &format!("blobs/{digest}")) == kept(digest), "{digest}");
    }
}

/// A registry that has a service for tokens, as the large ones do: it takes what bears its token, and keeps what was asked.
fn with_tokens(tokens: &'static str) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (at, asked) = (Arc::new(Mutex::new(String::new())), log.clone());
    let own = at.clone();
    let addr = serve_http(move |one: Asked| {
        asked.lock().unwrap().push(one.clone());
        let url = own.lock().unwrap().clone();
        if one.path.starts_with("/token") {
            let is_ci = one.header("authorization") == Some(CI_HUSH);
            let answer = json!({ "token": tokens }).to_string();
            return if is_ci { Answer::new(200, answer) } else { Answer::new(401, "{}") };
        }
        if one.header("authorization") != Some("Bearer good") {
            let wanted = format!("Bearer realm=\"{url}/token\",service=\"here\",scope=\"repository:bots:pull,push\"");
            return Answer { headers: vec![("www-authenticate".into(), wanted)], ..Answer::new(401, "{}") };
        }
        match one.method.as_str() {
            "HEAD" => Answer::new(404, ""),
            "POST" => Answer { headers: vec![("location".into(), "/upload/7?state=x".into())], ..Answer::new(202, "") },
            _ if one.path.ends_with("/manifests/full") => {
                Answer::new(403, r#"{"errors":[{"code":"DENIED","message":"no room is left"}]}"#)
            }
            _ => Answer::new(201, ""),
        }
    });
    let url = format!("http://{addr}");
    at.lock().unwrap().clone_from(&url);
    (url, log)
}

#[test]
fn who_asks_is_said_as_the_registry_wants_it_and_refusals_are_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    packaged(folder.path());
    let (url, log) = with_tokens("good");
    let published = publish(folder.path(), &format!("{url}/bots:1"), &LOGIN);
    assert_eq!(published.code, Some(0), "{published:?}");
    let log = log.lock().unwrap();
    let tokens: Vec<&str> =
        log.iter().map(|asked| asked.path.as_str()).filter(|path| path.starts_with("/token")).collect();
    assert_eq!(tokens, ["/token?scope=repository%3Abots%3Apull%2Cpush&service=here"], "asked for once");
    let sent: Vec<&Asked> =
        log.iter().filter(|asked| asked.path.starts_with("/upload/7?state=x&digest=sha256:")).collect();
    assert_eq!((sent.len(), sent[0].method.as_str()), (2, "PUT"));
    drop(log);

    let full = publish(folder.path(), &format!("{url}/bots:full"), &LOGIN);
    assert!(full.code == Some(1) && full.err.contains("403 Forbidden DENIED no room is left"), "{full:?}");
    let (bad, _) = with_tokens("bad");
    let unknown = publish(folder.path(), &format!("{bad}/bots:1"), &LOGIN);
    assert!(unknown.code == Some(4) && unknown.err.contains("does not take the name and the password"), "{unknown:?}");
    let open = publish(folder.path(), "http://registry.test/bots:1", &LOGIN);
    assert!(open.code == Some(2) && open.err.contains("would hear the password in the clear"), "{open:?}");
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cut_off = publish(folder.path(), &format!("http://{nowhere}/bots:1"), &LOGIN);
    assert!(cut_off.code == Some(4) && cut_off.err.contains("whether this machine has a network"), "{cut_off:?}");
}
