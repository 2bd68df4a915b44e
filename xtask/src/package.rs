//! `cargo xtask package-fleet`: the zips that deploy/aws/template.yaml names, static and stripped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::process::{self, cargo};

/// The static binary: the system's own target, named, so that the flags are for it alone and not for build scripts.
const FLAGS: &str = "-C target-feature=+crt-static -C strip=symbols";
/// What a binary would have in it that needs a loader: glibc's, musl's.
const LOADERS: [&[u8]; 2] = [b"/ld-linux", b"/ld-musl"];
/// The name that Lambda starts.
const BOOTSTRAP: &str = "bootstrap";
/// Where a policy lies that is packed beside the binary.
const POLICY: &str = "policy.toml";

/// What is packed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The package of the load client, which is also its binary.
    client: String,
    /// The guard-rails.
    policy: Option<PathBuf>,
}

impl Options {
    /// `[--policy FILE] [CLIENT]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Options, String> {
        let mut options = Options { client: "arena".to_string(), policy: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--policy" => {
                    let file = words.next().ok_or("`--policy` needs a file")?;
                    options.policy = Some(PathBuf::from(file));
                }
                word if word.starts_with('-') => return Err(format!("`package-fleet` has no option `{word}`")),
                client => options.client = client.to_string(),
            }
        }
        Ok(options)
    }
}

/// Builds and packs; says what lies where.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let to = process::root().join("target").join("package");
    let fleet = build("loadkit-fleet-aws", &[], "loadkit-fleet-lambda")?;
    let client = build(&options.client, &["lambda", "fargate"], &options.client)?;
    for (name, binary, policy) in [("fleet", fleet, options.policy.as_deref()), ("worker", client, None)] {
        let zip = pack(&to, name, &binary, policy)?;
        let bytes = fs::metadata(&zip).map_err(|error| format!("{}: {error}", zip.display()))?.len();
        println!("{} has {bytes} bytes", zip.display());
    }
    Ok(())
}

/// Builds a package's binary for release, without anything that it would need where it runs; where it is.
pub(crate) fn build(package: &str, features: &[&str], binary: &str) -> Result<PathBuf, String> {
    let known = process::output(process::command("rustc").arg("-vV"))?;
    let host = known.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not say its host")?;
    let features = features.join(",");
    let build = ["build", "--release", "--package", package, "--features", &features, "--target", host];
    process::run(cargo(&build).env("RUSTFLAGS", FLAGS))?;
    let binary = process::root().join("target").join(host).join("release").join(binary);
    let bytes = fs::read(&binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    if needs_loader(&bytes) {
        return Err(format!("{} is not static: it would not start in a Lambda", binary.display()));
    }
    Ok(binary)
}

fn needs_loader(binary: &[u8]) -> bool {
    // The name stands in the first page, behind the headers.
    let start = binary.get(..4_096).unwrap_or(binary);
    LOADERS.iter().any(|loader| start.windows(loader.len()).any(|window| window == *loader))
}

/// Packs a binary as `bootstrap`, with a policy beside it; the zip. The same content makes the same zip, so that what has not
/// changed is not deployed anew.
fn pack(to: &Path, name: &str, binary: &Path, policy: Option<&Path>) -> Result<PathBuf, String> {
    let folder = to.join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    let files = [Some((BOOTSTRAP, binary)), policy.map(|policy| (POLICY, policy))];
    let mut names = Vec::new();
    for (name, from) in files.into_iter().flatten() {
        let file = folder.join(name);
        fs::copy(from, &file).map_err(|error| format!("{}: {error}", from.display()))?;
        // A zip tells times, to two seconds, from 1980 on.
        let time = UNIX_EPOCH + Duration::from_secs(946_728_000);
        File::options().append(true).open(&file).and_then(|file| file.set_modified(time)).map_err(failed)?;
        names.push(name);
    }
    let zip = to.join(format!("{name}.zip"));
    if zip.exists() {
        fs::remove_file(&zip).map_err(failed)?;
    }
    // Python's own, which keeps the right to execute; the tests use it too.
    let mut python = process::command("python3");
    python.args(["-m", "zipfile", "-c"]).arg(&zip).args(names).current_dir(&folder).env("TZ", "UTC");
    process::output(&mut python).map_err(|why| format!("{} cannot be packed: {why}", zip.display()))?;
    Ok(zip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = |words: &[&str]| Options::parse(words);
        assert_eq!(read(&[]), Ok(Options { client: "arena".to_string(), policy: None }));
        let both = Options { client: "game-bots".to_string(), policy: Some("p.toml".into()) };
        assert_eq!(read(&["--policy", "p.toml", "game-bots"]), Ok(both));
        assert!(read(&["--policy"]).is_err_and(|why| why.contains("needs a file")));
        assert!(read(&["--fast"]).is_err_and(|why| why.contains("no option `--fast`")));
    }

    #[test]
    fn the_same_content_makes_the_same_zip() {
        let to = process::root().join("target").join("xtask-tests").join("package");
        let (binary, policy) = (to.join("binary"), to.join("own.toml"));
        fs::create_dir_all(&to).unwrap();
        let zipped = |content: &str| {
            fs::write(&binary, content).unwrap();
            fs::write(&policy, "# none").unwrap();
            fs::read(pack(&to, "fleet", &binary, Some(&policy)).unwrap()).unwrap()
        };
        let first = zipped("one");
        assert_eq!(zipped("one"), first);
        assert_ne!(zipped("two"), first);
        let listed =
            process::output(process::command("python3").args(["-m", "zipfile", "-l"]).arg(to.join("fleet.zip")));
        let listed = listed.unwrap();
        assert!(listed.contains("bootstrap") && listed.contains("policy.toml"), "{listed}");
    }

    #[test]
    fn a_binary_that_needs_a_loader_is_told() {
        assert!(needs_loader(b"\x7fELF....\0/lib64/ld-linux-x86-64.so.2\0"));
        assert!(!needs_loader(b"\x7fELF and more"));
        assert!(!needs_loader(b""));
    }

    /// What the template takes is what is written.
    #[test]
    fn the_template_names_the_zips() {
        let template = fs::read_to_string(process::root().join("deploy/aws/template.yaml")).unwrap();
        let code: Vec<&str> = template.lines().filter_map(|line| line.trim().strip_prefix("CodeUri: ")).collect();
        let fleet = "../../target/package/fleet.zip";
        assert_eq!(code, [fleet, fleet, fleet, "../../target/package/worker.zip"]);
    }
}
