//! The team's own `.proto` files: where they are, what they have, and what a bot does with it.

use std::path::{Path, PathBuf};

use loadkit_build::{Asked, Description, Named, Proto};

use crate::exit::Failure;

/// A schema that compiles.
#[derive(Debug)]
pub(super) struct Schema {
    /// Folders in which imports are found, absolute.
    pub(super) includes: Vec<PathBuf>,
    /// The files, relative to one of the folders, the first first.
    pub(super) files: Vec<String>,
    pub(super) has: Description,
    pub(super) play: Play,
}

/// What a bot does with the messages.
#[derive(Debug)]
pub(super) enum Play {
    /// Asks and is answered: messages have opcodes.
    Requests(Box<Requests>),
    /// Sends messages of one type and receives those of one: what is inside of them only the game knows.
    Messages { out: Named, back: Named },
}

/// The requests that a bot begins with.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) login: Asked,
    pub(super) tick: Asked,
    pub(super) leave: Option<Asked>,
}

/// Words by which a request for the purpose is known, the surest first.
const LOGIN: [&str; 7] = ["login", "logon", "auth", "join", "hello", "connect", "register"];
const TICK: [&str; 6] = ["move", "input", "tick", "update", "action", "ping"];
const LEAVE: [&str; 6] = ["leave", "logout", "logoff", "quit", "bye", "disconnect"];
/// Words by which the one message of a direction is known.
const OUT: [&str; 6] = ["fromclient", "toserver", "clientmessage", "clientpacket", "request", "client"];
const BACK: [&str; 6] = ["fromserver", "toclient", "servermessage", "serverpacket", "response", "server"];

impl Schema {
    /// Reads the files, and finds what a bot can begin with. `messages` names the two messages of a schema without opcodes:
    /// that of clients, and that of the server.
    pub(super) fn read(files: &[PathBuf], includes: &[PathBuf], messages: &[String]) -> Result<Schema, Failure> {
        let absolute = |path: &PathBuf| {
            path.canonicalize()
                .map_err(|error| Failure::wrong_use(format!("{} cannot be read: {error}", path.display())))
        };
        let files: Vec<PathBuf> = files.iter().map(absolute).collect::<Result<_, _>>()?;
        let mut folders: Vec<PathBuf> = includes.iter().map(absolute).collect::<Result<_, _>>()?;
        for file in &files {
            if !folders.iter().any(|folder| file.starts_with(folder)) {
                folders.push(file.parent().unwrap_or(Path::new("/")).to_owned());
            }
        }
        let names: Vec<String> = files.iter().map(|file| name_in(file, &folders)).collect();
        let compiler = folders.iter().fold(Proto::new(), |compiler, folder| compiler.include(folder));
        let has = compiler.describe(&names).map_err(|error| {
            Failure::wrong_use(format!("{error:?}"))
                .mended_by("correct the schema; where an import is not found, name the folder it is in with --include")
        })?;
        let play = Play::find(&has, messages)?;
        Ok(Schema { includes: folders, files: names, has, play })
    }
}

/// How the compiler calls a file that is in one of the folders.
fn name_in(file: &Path, folders: &[PathBuf]) -> String {
    let inside = folders.iter().find_map(|folder| file.strip_prefix(folder).ok()).unwrap_or(file);
    inside.to_string_lossy().replace('\\', "/")
}

impl Play {
    fn find(has: &Description, messages: &[String]) -> Result<Play, Failure> {
        if let (Some(first), []) = (has.requests.first(), messages) {
            return Ok(Play::Requests(Box::new(Requests::of(first, &has.requests))));
        }
        let known = || has.messages.iter().map(|message| message.full.as_str()).collect::<Vec<_>>().join(", ");
        let named = |name: &str| {
            let found = has.messages.iter().find(|message| message.full == name || message.variant == name);
            found
                .cloned()
                .ok_or_else(|| Failure::wrong_use(format!("the schema has no message {name:?}; there are {}", known())))
        };
        if let [out, back] = messages {
            return Ok(Play::Messages { out: named(out)?, back: named(back)? });
        }
        let likely = |words: &[&str]| best(&has.messages, words, |message| &message.variant).cloned();
        match (likely(&OUT), likely(&BACK)) {
            (Some(out), Some(back)) => Ok(Play::Messages { out, back }),
            _ => Err(Failure::wrong_use(format!(
                "the messages of the schema have no opcodes, and which of them clients send and the server sends is not \
                 plain from their names: {}",
                known()
            ))
            .mended_by("give their names, --messages ClientMessage,ServerMessage; or opcodes, as docs/protobuf.md has it")),
        }
    }
}

impl Requests {
    /// What is not known by its name is the first that is left, and where none is left, the log-in.
    fn of(first: &Asked, all: &[Asked]) -> Requests {
        let find = |words: &[&str]| best(all, words, |asked| &asked.request.variant);
        let (login, leave) = (find(&LOGIN).unwrap_or(first), find(&LEAVE));
        let is_taken = |asked: &Asked| asked == login || Some(asked) == leave;
        let rest = || all.iter().find(|asked| !is_taken(asked));
        let tick = find(&TICK).or_else(rest).unwrap_or(login);
        Requests { login: login.clone(), tick: tick.clone(), leave: leave.cloned() }
    }
}

/// The first of them whose name has the first of these words that any has.
fn best<'a, T>(all: &'a [T], words: &[&str], name: impl Fn(&T) -> &String) -> Option<&'a T> {
    words.iter().find_map(|word| all.iter().find(|one| name(one).to_lowercase().contains(word)))
}
