//! `image -> runc`: clients in containers, on machines that can run them.
//!
//! No daemon and no registry is needed: an image is a folder, of a client and the libraries that it is linked against or of what
//! somebody else has packed, and a bundle is that folder with a `config.json` (OCI's runtime specification, 1.0). A container has processes,
//! mounts, a host name and message queues of its own, no capabilities, and a root file system that it cannot write to. Its network is
//! the machine's, because the emulator and the game's server are there.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Child, Output};

/// The variable that names the program; without it, it is looked for on the path.
const PROGRAM: &str = "LOADKIT_TEST_RUNC";
/// Both keep to one command line.
const PROGRAMS: [&str; 2] = ["runc", "crun"];
/// A container is made, and has ended, within this time.
const LIMIT: Duration = Duration::from_secs(30);
/// Where a container has the folder that it may write to.
pub const FOLDER: &str = "/kept";

/// What runs containers here.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    image: Image,
    place: tempfile::TempDir,
}

/// What is in a container, and what is started there.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its files.
    pub root: PathBuf,
    /// The program in it, and its first arguments.
    pub entrypoint: Vec<String>,
    /// Its environment, `NAME=VALUE` each.
    pub variables: Vec<String>,
    /// As whom: a user and a group.
    pub user: (u32, u32),
}

/// A client in a container. It ends with this.
#[derive(Debug)]
pub struct Container {
    program: PathBuf,
    state: PathBuf,
    name: String,
    child: Option<Child>,
}

impl Engine {
    /// The engine of this machine with an image of this client, if it can run that.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn find(client: &Path) -> Result<Engine, String> {
        Engine::with(|place| {
            let root = place.join("image");
            make_image(client, &root)?;
            Ok(Image { root, entrypoint: vec!["/client".into()], variables: Vec::new(), user: (0, 0) })
        })
    }

    /// The engine of this machine with this image of a client, if it can run that.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn of(image: Image) -> Result<Engine, String> {
        Engine::with(|_| Ok(image))
    }

    fn with(image: impl FnOnce(&Path) -> io::Result<Image>) -> Result<Engine, String> {
        let given = env::var_os(PROGRAM).map(PathBuf::from);
        let found = given.or_else(|| PROGRAMS.iter().find_map(|name| on_the_path(name)));
        let program = found.ok_or_else(|| format!("neither {} is on the path", PROGRAMS.join(" nor ")))?;
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = image(place.path()).map_err(|error| format!("there is no image: {error}"))?;
        let engine = Engine { program, image, place };
        // Whether this kernel, and this user, may.
        let probe = engine.start("loadkit-probe", &["run", "--help"], &[], engine.place.path());
        let output = probe.map_err(|error| error.to_string())?.wait(LIMIT);
        let program = engine.program.display().to_string();
        match output.code {
            Some(0) => Ok(engine),
            code => Err(format!("{program} cannot run a container here ({code:?}): {}", output.err.trim())),
        }
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Starts the client in a container of this name, with these arguments and variables. It may write to this folder, which is
    /// [`FOLDER`] there.
    ///
    /// # Errors
    /// If the bundle cannot be written.
    pub fn start(
        &self,
        name: &str,
        arguments: &[&str],
        variables: &[(String, String)],
        folder: &Path,
    ) -> io::Result<Container> {
        let (bundle, state) = (self.place.path().join(name), self.place.path().join("state"));
        fs::create_dir_all(&bundle)?;
        fs::create_dir_all(folder)?;
        let config = self.config(name, arguments, variables, folder);
        fs::write(bundle.join("config.json"), config.to_string())?;
        let mut run = Command::new(&self.program);
        run.arg("--root").arg(&state).arg("run").arg("--bundle").arg(&bundle).arg(name);
        let child = Child::start(run.stdin(Stdio::null()).stdout(Stdio::null()));
        Ok(Container { program: self.program.clone(), state, name: name.to_owned(), child: Some(child) })
    }

    fn config(&self, name: &str, arguments: &[&str], variables: &[(String, String)], folder: &Path) -> Value {
        let Image { root, entrypoint, variables: own, user: (uid, gid) } = &self.image;
        let arguments: Vec<&str> = entrypoint.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let given = variables.iter().map(|(name, value)| format!("{name}={value}"));
        let variables: Vec<String> = own.iter().cloned().chain(given).collect();
        let own = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        let dev = ["nosuid", "mode=755", "size=64k"];
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": uid, "gid": gid }, "args": arguments, "env": variables, "cwd": "/", "noNewPrivileges": true,
            },
            "root": { "path": root, "readonly": true },
            "hostname": name,
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": dev },
                { "destination": FOLDER, "type": "bind", "source": folder, "options": ["bind", "rw"] },
            ],
            "linux": { "namespaces": own },
        })
    }
}

impl Container {
    /// Waits for its end; what it said on standard error.
    pub fn wait(mut self, limit: Duration) -> Output {
        let child = self.child.take();
        child.map_or_else(Output::default, |child| child.wait(limit))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What runs in it is no child of the engine's process.
        let mut delete = Command::new(&self.program);
        delete.arg("--root").arg(&self.state).args(["delete", "--force", &self.name]);
        let _ = delete.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The client, and what it is linked against, where it looks for it.
fn make_image(client: &Path, image: &Path) -> io::Result<()> {
    for folder in ["proc", "dev", &FOLDER[1..]] {
        fs::create_dir_all(image.join(folder))?;
    }
    strip(client, &image.join("client"))?;
    // A static one has none, and ldd says so with a failure.
    let linked = Command::new("ldd").arg(client).output()?;
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = image.join(&library[1..]);
        fs::create_dir_all(to.parent().unwrap_or(image))?;
        fs::copy(library, to)?;
    }
    Ok(())
}

/// Copies a binary without what only debuggers need, where there is a `strip`.
pub(crate) fn strip(binary: &Path, to: &Path) -> io::Result<()> {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(binary).status();
    if stripped.is_ok_and(|status| status.success()) { Ok(()) } else { fs::copy(binary, to).map(drop) }
}

fn on_the_path(name: &str) -> Option<PathBuf> {
    // Debian keeps them where only root looks.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(more).map(|folder| folder.join(name)).find(|program| program.is_file())
}
