//! The fleet as it is deployed on AWS, on an emulator: real processes, real zips, the real template.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;
mod tasks;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loadkit::core::Collector;
use loadkit_aws::{Answer, AwsError, Call, Client, Config, Credentials, Service};
use loadkit_worker::Parcel;
use serde_json::Value;

use crate::container::strip;
use crate::{Child, hold};
pub use run::{POLICY, TEMPLATE, buckets};
pub use tasks::{NO_ROOM, Tasks};

/// An emulator is there within this time, and a stack is deployed.
const START: Duration = Duration::from_secs(60);
/// As long as API Gateway waits.
const ANSWER: Duration = Duration::from_secs(30);
const BUCKET: &str = "code";
const S3: Service = Service { name: "S3", host: "s3", variable: "S3", target: "", json: "" };
const CLOUDFORMATION: Service =
    Service { name: "CloudFormation", host: "cloudformation", variable: "CLOUDFORMATION", target: "", json: "" };
const EXECUTE_API: Service =
    Service { name: "the fleet", host: "execute-api", variable: "EXECUTE_API", target: "", json: "" };

/// An emulator of AWS with a fleet on it.
pub struct Cloud {
    _emulator: Child,
    at: SocketAddr,
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// Tries nothing twice.
    once: Client,
    folder: tempfile::TempDir,
    outputs: BTreeMap<String, String>,
}

/// Where the emulator's packages are; none, and a word, if this machine has them not.
pub fn packages() -> Option<PathBuf> {
    let folder = env::var_os("LOADKIT_TEST_MINISTACK").map(PathBuf::from);
    match &folder {
        Some(folder) => assert!(folder.is_dir(), "LOADKIT_TEST_MINISTACK says {folder:?}, and there is nothing"),
        None => {
            println!(
                "left out: LOADKIT_TEST_MINISTACK does not say where its packages are; `cargo xtask test` brings them"
            );
        }
    }
    folder
}

/// A client of what is at this address, which shares the machine with all players and may take its time.
fn client(at: &str) -> Client {
    Client::new(config(at))
}

fn config(at: &str) -> Config {
    let mut config = Config::new("us-east-1", Credentials::new("test", "test", None)).at(at);
    config.limits.call = ANSWER;
    config
}

impl Cloud {
    /// Starts the emulator. Functions have these variables beside those of the template; tasks go to `tasks`.
    pub fn start(packages: &Path, tasks: &Tasks) -> Cloud {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, folder) = (format!("http://{free}"), tempfile::tempdir().unwrap());
        let mut python = Command::new("python3");
        python.args(["-c", "from ministack.app import main; main()"]).env("PYTHONPATH", packages);
        python.envs([("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1"), ("LAMBDA_EXECUTOR", "local")]);
        python.envs([("SFTP_ENABLED", "0"), ("IOT_MTLS_ENABLED", "0"), ("LOG_LEVEL", "ERROR")]);
        python.envs([("LAMBDA_ACCOUNT_CONCURRENCY", "400"), ("AWS_ENDPOINT_URL", url.as_str())]);
        python.env("GATEWAY_PORT", free.port().to_string()).env("AWS_ENDPOINT_URL_ECS", tasks.url());
        python.env("LOADKIT_KEEP_SNAPSHOTS", folder.path().join("kept")).current_dir(folder.path());
        let emulator = Child::start(python.stdin(Stdio::null()).stdout(Stdio::null()));
        let began = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(began.elapsed() < START, "the emulator does not start");
            hold(Duration::from_millis(50));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut config = config(&url);
        config.tries.most = 1;
        let (client, once, outputs) = (client(&url), Client::new(config), BTreeMap::new());
        let cloud = Cloud { _emulator: emulator, at: free, runtime, client, once, folder, outputs };
        tasks.describe_by(cloud.url(), cloud.kept());
        cloud
    }

    /// Where the emulator is.
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// A client of the emulator.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where workers write what they recorded.
    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Waits for an answer.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Puts a binary where functions are deployed from: stripped, as `bootstrap`, in a zip of this name. The zip's length.
    pub fn upload(&self, zip: &str, binary: &Path) -> usize {
        let folder = self.folder.path().join(format!("{zip}.d"));
        fs::create_dir_all(&folder).unwrap();
        strip(binary, &folder.join("bootstrap")).unwrap();
        let packed =
            Command::new("python3").args(["-m", "zipfile", "-c", zip, "bootstrap"]).current_dir(&folder).status();
        assert!(packed.unwrap().success());
        let body = fs::read(folder.join(zip)).unwrap();
        let length = body.len();
        self.call(&S3, "PUT", &format!("/{BUCKET}"), Vec::new()).unwrap();
        self.call(&S3, "PUT", &format!("/{BUCKET}/{zip}"), body).unwrap();
        length
    }

    /// Calls a service of the emulator, signed.
    ///
    /// # Errors
    /// What it answered.
    pub fn call(&self, service: &Service, method: &str, path: &str, body: Vec<u8>) -> Result<Answer, AwsError> {
        let kind =
            if service.host == "cloudformation" { "application/x-www-form-urlencoded" } else { "application/json" };
        let headers = [("content-type", kind), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
        let call = Call { service, action: path, method, path, query: &[], headers: &headers, body: body.into() };
        self.wait(self.client.call(&call))
    }

    /// Deploys the template with these parameters. Its zips are those of the same names that were uploaded, as
    /// `aws cloudformation package` would say it.
    pub fn deploy(&mut self, template: &str, parameters: &[(&str, &str)]) {
        let template = template.replace("../../target/package/", &format!("s3://{BUCKET}/"));
        let mut form = vec![("Action", "CreateStack".to_owned()), ("TemplateBody", template)];
        form.push(("StackName", "loadkit".into()));
        let names: Vec<String> = (1..=parameters.len()).map(|n| format!("Parameters.member.{n}")).collect();
        let names: Vec<[String; 2]> =
            names.iter().map(|name| [format!("{name}.ParameterKey"), format!("{name}.ParameterValue")]).collect();
        for ([key_name, value_name], (key, value)) in names.iter().zip(parameters) {
            form.push((key_name, (*key).to_owned()));
            form.push((value_name, (*value).to_owned()));
        }
        form.push(("Capabilities.member.1", "CAPABILITY_IAM".into()));
        form.push(("Capabilities.member.2", "CAPABILITY_AUTO_EXPAND".into()));
        self.cloudformation(&form);
        let began = Instant::now();
        let described = loop {
            let described =
                self.cloudformation(&[("Action", "DescribeStacks".into()), ("StackName", "loadkit".into())]);
            match first(&described, "StackStatus").unwrap_or_default() {
                "CREATE_COMPLETE" => break described,
                "CREATE_IN_PROGRESS" if began.elapsed() < START => hold(Duration::from_millis(300)),
                other => {
                    let events = [("Action", "DescribeStackEvents".to_owned()), ("StackName", "loadkit".to_owned())];
                    let events = self.cloudformation(&events);
                    let why: Vec<&str> = all_of(&events, "ResourceStatusReason").collect();
                    panic!("the stack is {other}: {why:?}");
                }
            }
        };
        let (keys, values) = (all_of(&described, "OutputKey"), all_of(&described, "OutputValue"));
        self.outputs = keys.zip(values).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    }

    fn cloudformation(&self, form: &[(&str, String)]) -> String {
        let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let body = format!("{}&Version=2010-05-15", pairs.join("&"));
        let answer = self.call(&CLOUDFORMATION, "POST", "/", body.into_bytes()).unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// An output of the stack.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("the stack has no output {name}: {:?}", self.outputs))
    }

    /// Asks the fleet, signed. It is asked once: to launch twice would be two runs.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, AwsError> {
        let path = format!("/_aws/execute-api/{}/$default{path}", self.output("ApiId"));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let headers = [("content-type", "application/json"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
        let (action, path) = (path.as_str(), path.as_str());
        let call =
            Call { service: &EXECUTE_API, action, method, path, query: &[], headers: &headers, body: body.into() };
        self.wait(self.once.call(&call))
    }

    /// The status of the same request without a signature.
    pub fn status_unsigned(&self, path: &str) -> u16 {
        let path = format!("/_aws/execute-api/{}/$default{path}", self.output("ApiId"));
        let mut stream = TcpStream::connect(self.at).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.at).unwrap();
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).unwrap();
        first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All that the workers of a run recorded, and how many of them there were, by their own files.
    pub fn recorded(&self, run: &str) -> (Collector, usize) {
        let (mut workers, mut snapshots) = (0, Vec::new());
        for file in fs::read_dir(self.kept()).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(run)) {
                workers += 1;
                for line in fs::read_to_string(path).unwrap().lines() {
                    snapshots.extend(Parcel::open(&Parcel::parse(line).unwrap().bytes).unwrap());
                }
            }
        }
        snapshots.sort_by_key(|snapshot| (snapshot.to_us, snapshot.key));
        let mut collector = Collector::new(Duration::from_secs(1));
        for snapshot in &snapshots {
            collector.apply(snapshot);
        }
        (collector, workers)
    }
}

/// The texts of all elements of this name: the answers have no other XML than that.
fn all_of<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str())
        .skip(1)
        .filter_map(move |rest| rest.split_once(close.as_str()))
        .map(|(text, _)| text)
        .collect::<Vec<_>>()
        .into_iter()
}

fn first<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    all_of(xml, name).next()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
