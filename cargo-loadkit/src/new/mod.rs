//! `cargo loadkit new NAME`: a load client beside a server, which compiles and plays at once.

mod ask;
mod choice;
mod files;
mod messages;
mod name;
mod schema;
mod template;
mod workspace;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

pub use choice::{Codec, Transport};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use files::{Source, Wish};
use schema::Schema;

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit new mygame-bots                              asks on a terminal; else reliable UDP and Protobuf
  cargo loadkit new mygame-bots --transport ws --codec bits
  cargo loadkit new mygame-bots --transport tcp --proto proto/game.proto
Then, in its folder:
  cargo test                                                 the players in virtual time
  cargo run --bin mygame-bots-server                         a stub of the server, until Ctrl-C
And in another terminal:
  cargo run -- run plan.toml                                 plays, and writes report/report.html

Exit codes:
  0  made
  2  the name is no crate's, the folder is not empty, or a .proto file does not compile
  4  loadkit is not found, or the folder cannot be written";

/// The arguments of `new`.
#[derive(Clone, Debug, clap::Args)]
pub struct NewArgs {
    /// The crate's name, and its folder's.
    pub name: String,
    /// How the players talk to the server.
    #[arg(long, value_enum)]
    pub transport: Option<Transport>,
    /// How messages become bytes.
    #[arg(long, value_enum)]
    pub codec: Option<Codec>,
    /// The game's own .proto files, which stay where they are. May be given more than once; the first is the one whose
    /// package has the messages.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub proto: Vec<PathBuf>,
    /// A folder in which imports of the .proto files are found.
    #[arg(long, value_name = "DIR", requires = "proto")]
    pub include: Vec<PathBuf>,
    /// Of .proto files without opcodes: the message that clients send, and the one that the server sends.
    #[arg(long, value_name = "OUT,IN", requires = "proto", value_delimiter = ',')]
    pub messages: Vec<String>,
    /// The repository of loadkit, to depend on; by default the one that this command was built from.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Depends on loadkit in this git repository.
    #[arg(long, value_name = "URL", conflicts_with = "path")]
    pub git: Option<String>,
    /// Asks nothing, also on a terminal.
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    folder: PathBuf,
    transport: Transport,
    codec: Codec,
    /// The fingerprint of the protocol, of Protobuf.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    files: Vec<String>,
    /// The manifest of the workspace that it is now a member of.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<PathBuf>,
    next: Vec<String>,
}

/// Makes the crate.
///
/// # Errors
/// When a part of the wish cannot be: nothing is left behind then.
pub fn run(args: &NewArgs, output: &Output) -> Result<Exit, Failure> {
    name::check(&args.name).map_err(Failure::wrong_use)?;
    let folder = std::path::absolute(&args.name)
        .map_err(|error| Failure::missing(format!("the current folder is not known: {error}")))?;
    check_empty(&folder)?;
    if !args.proto.is_empty() && args.codec.is_some_and(|codec| codec != Codec::Protobuf) {
        return Err(Failure::wrong_use("--proto is for the codec protobuf").mended_by("leave out --codec"));
    }
    let messages = &args.messages;
    if !matches!(messages.len(), 0 | 2) {
        return Err(Failure::wrong_use(
            "--messages names two: the one that clients send, and the one that the server sends",
        )
        .mended_by("--messages ClientMessage,ServerMessage"));
    }
    let schema = match &args.proto[..] {
        [] => None,
        files => Some(Schema::read(files, &args.include, messages)?),
    };
    let (transport, codec) = ask::choose(args, output)?;
    let loadkit = source(args)?;
    let wish = Wish { name: &args.name, transport, codec, schema: schema.as_ref(), loadkit: &loadkit, folder: &folder };
    let files = files::files(&wish).map_err(Failure::missing)?;
    write(&folder, &files)?;
    format(&folder, &files);
    let workspace = workspace::join(&folder)?;
    let made = Made {
        name: args.name.clone(),
        transport,
        codec,
        protocol: schema.map(|schema| schema.has.fingerprint),
        files: files.into_iter().map(|(path, _)| path).collect(),
        workspace,
        next: next(&args.name),
        folder,
    };
    output.result("loadkit.new/1", &made, words(&made))?;
    Ok(Exit::Done)
}

fn next(name: &str) -> Vec<String> {
    [
        format!("cd {name}"),
        "cargo test".to_owned(),
        format!("cargo run --bin {name}-server"),
        "cargo run -- run plan.toml".to_owned(),
    ]
    .into()
}

fn words(made: &Made) -> String {
    let Made { name, transport, codec, files, next, .. } = made;
    let mut text = format!(
        "{name}: a load client over {}, with {}; {} files in {}\n",
        transport.words(),
        codec.words(),
        files.len(),
        made.folder.display()
    );
    if let Some(workspace) = &made.workspace {
        text += &format!("It is now a member of the workspace of {}.\n", workspace.display());
    }
    // Side by side in one shell, the players may be there before the server is.
    let about = [
        "",
        "the players in virtual time",
        "a stub of the server, until Ctrl-C",
        "plays, and writes report/report.html",
    ];
    text += "Next:\n";
    for (n, (line, about)) in next.iter().zip(about).enumerate() {
        if n == 3 {
            text += "And in another terminal, in the same folder:\n";
        }
        text += format!("  {line:<40}{about}").trim_end();
        text += "\n";
    }
    text + "Then make src/bot.rs your players, and play against your own server: --target HOST:PORT\n"
}

/// Where loadkit is.
fn source(args: &NewArgs) -> Result<Source, Failure> {
    if let Some(url) = &args.git {
        return Ok(Source::Git(url.clone()));
    }
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(""));
    let root = args.path.as_deref().unwrap_or(built_from);
    let remedy = "name its repository: --path DIR, or --git URL";
    let root = root.canonicalize().map_err(|error| {
        Failure::missing(format!("loadkit is not at {}: {error}", root.display())).mended_by(remedy)
    })?;
    if root.join("loadkit").join("Cargo.toml").is_file() {
        return Ok(Source::Path(root));
    }
    Err(Failure::missing(format!("{} is not the repository of loadkit", root.display())).mended_by(remedy))
}

fn check_empty(folder: &Path) -> Result<(), Failure> {
    let is_empty = fs::read_dir(folder).map(|mut entries| entries.next().is_none());
    match is_empty {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::wrong_use(format!("the folder {} is not empty", folder.display()))
            .mended_by("take another name, or empty it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::wrong_use(format!("{} cannot be the crate's folder: {error}", folder.display()))),
    }
}

/// As the team formats its code: by the rules that hold for the folder. Without a formatter it stays as it is.
fn format(folder: &Path, files: &[(String, String)]) {
    let code = files.iter().map(|(path, _)| path).filter(|path| path.ends_with(".rs"));
    let formatter = Command::new("rustfmt").args(["--edition", "2024"]).args(code).current_dir(folder).output();
    drop(formatter);
}

/// Writes all files, or none.
fn write(folder: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let was_there = folder.exists();
    let done = files.iter().try_for_each(|(path, text)| {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)
    });
    done.map_err(|error: io::Error| {
        if was_there {
            files.iter().for_each(|(path, _)| drop(fs::remove_file(folder.join(path))));
        } else {
            drop(fs::remove_dir_all(folder));
        }
        Failure::missing(format!("{} cannot be written: {error}", folder.display()))
    })
}
