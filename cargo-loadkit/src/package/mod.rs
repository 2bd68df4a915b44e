//! `cargo loadkit package`: the load client as a Lambda zip and as an OCI image, the same bytes from the same commit.

mod build;
pub(crate) mod image;
mod lambda;
pub(crate) mod project;
mod sbom;
mod sections;
mod target;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use loadkit_core::format;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};
use build::{Order, Source};
use image::{About, Image};
use project::Project;
use sbom::Sbom;
use target::{Tools, Triple};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit package                                 a zip and an image for machines like this one
  cargo loadkit package --triple arm64 --set build=2.31.0
  cargo loadkit package --only lambda --out dist

It writes, below target/loadkit, each with the client's name:
  NAME-lambda-ARCH.zip     a Lambda function's code: one static file, `bootstrap`
  NAME-image-ARCH/         an OCI image layout, for registries: skopeo copy oci:NAME-image-ARCH docker://…
  NAME-image-ARCH.tar      the same as a tar: docker load < NAME-image-ARCH.tar
  NAME-ARCH.cdx.json       what is in it: a bill of materials in CycloneDX
The same commit, toolchain and features give the same bytes. No container engine is needed.

Exit codes:
  0  written
  1  the client does not build, or is too large for its home
  2  wrong use
  4  the target or its linker is missing: the line that installs it is shown";

/// What mends a client that is too large.
const SMALLER: &str = "leave out what the client does not need: homes, features, data that is compiled in";

/// What can be packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A Lambda function's zip.
    Lambda,
    /// An OCI image.
    Image,
}

/// The arguments of `package`.
#[derive(Clone, Debug, clap::Args)]
pub struct PackageArgs {
    /// What to write; without it, both.
    #[arg(long, value_enum)]
    pub only: Option<Form>,
    /// The target: x86-64, arm64, or a triple.
    #[arg(long, value_name = "TARGET")]
    pub triple: Option<String>,
    /// Where it goes.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The profile of cargo that it is built with.
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub cargo_profile: String,
    /// Refuses what is larger, packed, in MiB.
    #[arg(long, value_name = "MIB")]
    pub at_most: Option<u64>,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Something that was written.
#[derive(Clone, Debug, Serialize)]
struct Written {
    what: &'static str,
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

/// All that was packaged.
#[derive(Debug, Serialize)]
struct Packaged {
    client: String,
    triple: String,
    features: Vec<String>,
    commit: String,
    dirty: bool,
    written: Vec<Written>,
    /// The program itself, as cargo has left it.
    binary: PathBuf,
    /// The image's digest, by which registries know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    binary_bytes: u64,
    /// Bytes of the binary by what they are.
    parts: BTreeMap<&'static str, u64>,
    /// Crates that are linked in.
    crates: usize,
}

/// Builds and packages.
///
/// # Errors
/// When something is missing, does not build, or is too large; what was there before stays then.
pub fn run(args: &PackageArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let project = Project::find(settings.text("package"))?;
    let homes = settings.text("homes").unwrap_or_default();
    let wants_zip = args.only != Some(Form::Image);
    let features = project.features(homes.split(',').filter(|home| !home.is_empty()))?;
    if wants_zip && !features.contains(&"lambda") {
        return Err(Failure::wrong_use("a Lambda zip is of a client with the home lambda")
            .mended_by("add it to the homes, --set homes=lambda,fargate; or package --only image"));
    }
    let triple = Triple::choose(args.triple.as_deref().or(settings.text("triple")), &Tools::here())?;
    let folder = project.package.manifest_path.parent().map_or(Path::new("."), |folder| folder.as_std_path());
    let source = Source::of(folder);
    let order = Order {
        triple: &triple,
        features: &features,
        profile: &args.cargo_profile,
        build: settings.text("build"),
        source: &source,
    };
    let path = build::build(&project, &order, output)?;
    let bytes = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
    if let Some(why) = lambda::too_large(0, bytes).filter(|_| wants_zip) {
        return Err(Failure::failed(why).mended_by(SMALLER));
    }
    let binary = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
    let sbom = Sbom::of(&project, &features, &triple.name, source.time, &image::sha256(&binary))?;
    let out = args.out.clone().unwrap_or_else(|| project.out());
    let packages = pack(&project, &binary, &triple, &source, args.only)?;
    packages.check(binary.len() as u64, args.at_most)?;
    let mut written = packages.write(&out, &project.bin, triple.machine.lambda())?;
    let bill = serde_json::to_vec_pretty(&sbom.json).unwrap_or_default();
    written.push(write(
        "bill of materials",
        &out.join(format!("{}-{}.cdx.json", project.bin, triple.machine.lambda())),
        &bill,
    )?);
    let packaged = Packaged {
        client: format!("{} {}", project.package.name, project.package.version),
        triple: triple.name,
        features: features.into_iter().map(str::to_owned).collect(),
        commit: source.commit,
        dirty: source.dirty,
        image: packages.image.map(|image| image.digest),
        written,
        binary_bytes: binary.len() as u64,
        binary: path,
        parts: sections::parts(&binary),
        crates: sbom.crates,
    };
    if packaged.dirty {
        output.say("warning: files differ from the commit: the same commit will give other bytes");
    }
    output.result("loadkit.package/1", &packaged, words(&packaged))?;
    Ok(Exit::Done)
}

/// What is to be written.
struct Packages {
    zip: Option<Vec<u8>>,
    image: Option<Image>,
}

fn pack(
    project: &Project,
    binary: &[u8],
    triple: &Triple,
    source: &Source,
    only: Option<Form>,
) -> Result<Packages, Failure> {
    let wants = |form: Form| only.is_none_or(|only| only == form);
    let unpacked = |error: &dyn std::fmt::Display| Failure::missing(format!("the client cannot be packed: {error}"));
    let about = About {
        name: project.bin.clone(),
        version: project.package.version.to_string(),
        commit: source.commit.clone(),
        time: source.time,
        machine: triple.machine,
    };
    let zip = wants(Form::Lambda).then(|| lambda::zip(binary)).transpose().map_err(|error| unpacked(&error))?;
    let image = wants(Form::Image).then(|| Image::new(binary, &about)).transpose().map_err(|error| unpacked(&error))?;
    Ok(Packages { zip, image })
}

impl Packages {
    /// Whether all are small enough for their homes.
    fn check(&self, binary: u64, at_most: Option<u64>) -> Result<(), Failure> {
        if let Some(zip) = &self.zip
            && let Some(why) = lambda::too_large(zip.len() as u64, binary)
        {
            return Err(Failure::failed(why).mended_by(SMALLER));
        }
        let sizes = [
            ("zip", self.zip.as_ref().map(|zip| zip.len() as u64)),
            ("image", self.image.as_ref().map(|image| image.layer)),
        ];
        for (what, size) in sizes {
            let (size, limit) = (size.unwrap_or(0), at_most.unwrap_or(u64::MAX));
            if size > limit.saturating_mul(1 << 20) {
                let size = format::bytes(size as f64);
                return Err(
                    Failure::failed(format!("the {what} has {size}, of at most {limit} MiB")).mended_by(SMALLER)
                );
            }
        }
        Ok(())
    }

    fn write(&self, out: &Path, name: &str, arch: &str) -> Result<Vec<Written>, Failure> {
        let mut written = Vec::new();
        if let Some(zip) = &self.zip {
            written.push(write("Lambda zip", &out.join(format!("{name}-lambda-{arch}.zip")), zip)?);
        }
        if let Some(image) = &self.image {
            let layout = out.join(format!("{name}-image-{arch}"));
            let unwritten =
                |error: std::io::Error| Failure::missing(format!("{} cannot be written: {error}", layout.display()));
            image.write_layout(&layout).map_err(unwritten)?;
            let tar = image.tar().map_err(unwritten)?;
            written.push(write("image", &out.join(format!("{name}-image-{arch}.tar")), &tar)?);
        }
        Ok(written)
    }
}

fn write(what: &'static str, path: &Path, bytes: &[u8]) -> Result<Written, Failure> {
    let done = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    done.map_err(|error| Failure::missing(format!("{} cannot be written: {error}", path.display())))?;
    Ok(Written { what, path: path.to_owned(), bytes: bytes.len() as u64, sha256: image::sha256(bytes) })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::missing(format!("{} cannot be read: {error}", path.display()))
}

fn words(packaged: &Packaged) -> String {
    let size = |bytes: u64| format::bytes(bytes as f64);
    let commit = packaged.commit.get(..12).unwrap_or(&packaged.commit);
    let dirty = if packaged.dirty { " with changes" } else { "" };
    let commit = if commit.is_empty() { String::new() } else { format!(", commit {commit}{dirty}") };
    let mut text = format!("{} for {}{commit}\n", packaged.client, packaged.triple);
    for written in &packaged.written {
        text += &format!("  {:<18}{:>10}  {}\n", written.what, size(written.bytes), written.path.display());
    }
    if let Some(digest) = &packaged.image {
        text += &format!("  image digest      {digest}\n");
    }
    let mut parts: Vec<(&str, u64)> = packaged.parts.iter().map(|(part, bytes)| (*part, *bytes)).collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let parts: Vec<String> = parts.iter().map(|(part, bytes)| format!("{part} {}", size(*bytes))).collect();
    let crates = format::counted(packaged.crates as u64, "crate", "crates");
    text + &format!("The binary has {} of {crates}: {}.\n", size(packaged.binary_bytes), parts.join(", "))
}
