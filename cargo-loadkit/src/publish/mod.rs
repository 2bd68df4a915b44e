//! `cargo loadkit publish`: a package put where the fleet finds it.
//!
//! The template (deploy/aws) names two places: the function `STACK-worker`, whose code is the zip, and the image of its tasks, in a
//! registry of ECR. Both are asked for by AWS's own calls, so neither a container engine nor a bucket is needed. Other registries take the
//! image by the protocol that all of them speak.

mod function;
mod image;
mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use loadkit_aws::{AwsError, Client, Config, Tries};
use loadkit_core::format;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::fleet::{no_credentials, wait};
use crate::output::Output;
use crate::package::project::Project;
use crate::settings::{SettingArgs, Settings};
use image::Repository;
use registry::{Login, Place};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit publish --stack loadkit                       the zip into the function loadkit-worker
  cargo loadkit publish --repository mygame-bots:build-2.31   the image into a repository of ECR
  cargo loadkit publish --function my-worker --from dist --json
  cargo loadkit publish --registry https://registry.example.com/studio/mygame-bots:build-2.31

It sends what `cargo loadkit package` has written, signed with the AWS credentials of the environment, and waits until the
function is ready. What is there already is not sent again. New tasks take an image by the tag that the template's
parameter `Image` names. Another registry than ECR is told who asks by LOADKIT_REGISTRY_USER and LOADKIT_REGISTRY_PASSWORD.

Exit codes:
  0  it is there
  1  AWS, or the registry, refuses it
  2  wrong use; there is no package
  4  no network, no credentials, no such function or repository";

/// A zip of 50 MiB over a slow line.
const CALL: Duration = Duration::from_secs(300);

/// The arguments of `publish`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true).args(["stack", "function", "repository", "registry"]))]
pub struct PublishArgs {
    /// The stack of deploy/aws: the zip goes into its function STACK-worker.
    #[arg(long, value_name = "NAME", conflicts_with = "function")]
    pub stack: Option<String>,
    /// The Lambda function that the zip goes into.
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// The repository of ECR that the image goes into, with its tag: NAME:TAG.
    #[arg(long, value_name = "NAME:TAG")]
    pub repository: Option<String>,
    /// An image in any other registry: https://HOST/NAME:TAG.
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// Where the package is; by default where `package` writes it.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// What is there now.
#[derive(Debug, Default, Serialize)]
struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<function::Put>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<image::Put>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<image::Put>,
}

/// Publishes.
///
/// # Errors
/// When there is no package, or AWS does not take it.
pub fn run(args: &PublishArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let repository = args.repository.as_deref().map(Repository::parse).transpose()?;
    let function = args.function.clone().or_else(|| args.stack.as_ref().map(|stack| format!("{stack}-worker")));
    let package = Package::find(args.from.as_deref(), &settings)?;
    let registry = match args.registry.as_deref().map(Place::parse).transpose()? {
        Some(place) => Some((Login::of(&settings, &place)?, place)),
        None => None,
    };
    let is_aws = function.is_some() || repository.is_some();
    let client = is_aws.then(|| client(&settings)).transpose()?;
    let published = wait(async {
        let mut published = Published::default();
        if let Some((client, function)) = client.as_ref().zip(function.as_ref()) {
            published.function = Some(function::put(client, function, &package, output).await?);
        }
        if let Some((client, repository)) = client.as_ref().zip(repository.as_ref()) {
            published.image = Some(image::put(client, repository, &package.layout()?, output).await?);
        }
        if let Some((login, place)) = registry {
            published.pushed = Some(registry::put(&place, login, &package.layout()?, output).await?);
        }
        Ok(published)
    })?;
    output.result("loadkit.publish/1", &published, words(&published))?;
    Ok(Exit::Done)
}

fn client(settings: &Settings) -> Result<Client, Failure> {
    let region = settings.text("region").map(str::to_owned);
    let variable = |name: &str| match name {
        "AWS_REGION" if region.is_some() => region.clone(),
        _ => std::env::var(name).ok(),
    };
    let mut config = Config::read(&variable).map_err(|error| no_credentials(&error))?;
    config.limits.call = CALL;
    config.tries = Tries { most: 4, give_up: CALL, ..config.tries };
    Ok(Client::new(config))
}

/// What `package` has written.
#[derive(Debug)]
struct Package {
    folder: PathBuf,
    client: String,
}

impl Package {
    fn find(from: Option<&Path>, settings: &Settings) -> Result<Package, Failure> {
        let project = Project::find(settings.text("package"))?;
        let folder = from.map_or_else(|| project.out(), Path::to_owned);
        Ok(Package { folder, client: project.bin })
    }

    /// The zip for this machine, as Lambda calls it.
    fn zip(&self, machine: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(format!("{}-lambda-{machine}.zip", self.client));
        if path.is_file() { Ok(path) } else { Err(not_there(&path, machine)) }
    }

    /// The image's folder: there must be one.
    fn layout(&self) -> Result<PathBuf, Failure> {
        let of = |machine| self.folder.join(format!("{}-image-{machine}", self.client));
        let there: Vec<PathBuf> = ["x86_64", "arm64"].map(of).into_iter().filter(|path| path.is_dir()).collect();
        match &there[..] {
            [path] => Ok(path.clone()),
            [] => Err(not_there(&of("x86_64"), "x86_64")),
            _ => Err(Failure::wrong_use(format!("{} has images for both machines", self.folder.display()))
                .mended_by("package one of them into a folder of its own: --out DIR, and here --from DIR")),
        }
    }
}

fn not_there(path: &Path, machine: &str) -> Failure {
    let triple = if machine == "arm64" { "arm64" } else { "x86-64" };
    Failure::wrong_use(format!("{} is not there", path.display()))
        .mended_by(format!("cargo loadkit package --triple {triple}"))
}

/// Why AWS did not do it, and what mends it.
fn failed(error: &AwsError, missing: &str) -> Failure {
    let has = |words: &[&str]| words.iter().any(|word| error.code.contains(word));
    if has(&["Expired", "UnrecognizedClient", "InvalidClientToken", "InvalidSignature", "credentials"]) {
        return Failure::missing(format!("AWS does not take the credentials: {error}"))
            .mended_by("eval \"$(aws configure export-credentials --format env)\"");
    }
    if has(&["ResourceNotFound", "RepositoryNotFound"]) {
        return Failure::missing(error).mended_by(missing);
    }
    if error.code == "unreachable" {
        return Failure::missing(error)
            .mended_by("see whether this machine has a network, and whether a VPN or a proxy is needed");
    }
    if has(&["AccessDenied"]) || error.throttled {
        return Failure::missing(error);
    }
    Failure::failed(error)
}

fn words(published: &Published) -> String {
    let mut text = String::new();
    let size = |bytes: u64| format::bytes(bytes as f64);
    if let Some(function::Put { function, bytes, changed, .. }) = &published.function {
        let how = if *changed { "has the new code" } else { "has this code already" };
        text += &format!("{function} {how} ({})\n", size(*bytes));
    }
    for image::Put { repository, tag, digest, sent_bytes } in published.image.iter().chain(&published.pushed) {
        let sent =
            if *sent_bytes == 0 { "was there already".to_owned() } else { format!("{} sent", size(*sent_bytes)) };
        text += &format!("{repository}:{tag} is {digest} ({sent})\n");
    }
    text
}
