//! What the bot sends and the stub answers, in the words of the codec.

use std::collections::{BTreeMap, BTreeSet};

use heck::ToSnakeCase;
use loadkit_build::{Asked, Description};

use super::choice::{Codec, Transport};
use super::schema::{Play, Schema};
use super::template::Values;

/// The messages of a choice.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    codec: Codec,
    schema: Option<&'a Schema>,
}

/// A tick's own number is in the messages that come with the kit.
const TICKING: &str = "let Some(tick) = ticks.next().await";

impl<'a> Messages<'a> {
    pub(super) fn of(codec: Codec, schema: Option<&'a Schema>) -> Messages<'a> {
        Messages { codec, schema }
    }

    /// Whether they travel in envelopes, by their opcodes.
    pub(super) fn is_enveloped(&self) -> bool {
        self.codec == Codec::Protobuf && self.schema.is_none_or(|schema| matches!(schema.play, Play::Requests(_)))
    }

    /// The template of what the stub answers.
    pub(super) fn answer_template(&self) -> &'static str {
        match self.is_enveloped() {
            true => include_str!("../../templates/stub/enveloped.rs"),
            false => include_str!("../../templates/stub/coded.rs"),
        }
    }

    /// What the stub needs of the module `wire`.
    pub(super) fn stub_imports(&self) -> String {
        match (self.is_enveloped(), self.schema) {
            (true, None) => "{FromClient, FromServer, Goodbye, Move, Moved, Welcome}".to_owned(),
            (true, Some(schema)) => {
                let replies = schema.has.requests.iter().map(|asked| name_of(&asked.reply.rust, &schema.has));
                imports(["FromClient".to_owned(), "FromServer".to_owned()].into_iter().chain(replies))
            }
            (false, Some(_)) => "{FromServer, Server}".to_owned(),
            (false, None) => "{FromClient, FromServer, Server}".to_owned(),
        }
    }

    /// The values that templates ask for.
    pub(super) fn set(&self, values: &mut Values, transport: Transport) {
        self.set_wire(values);
        let has_seat = self.set_bot(values, transport);
        self.set_stub(values);
        values
            .set("seat-arg", if has_seat { "seat" } else { "_" })
            .set("player-new", if has_seat { "Player { seat }" } else { "Player" })
            .set(
                "player-struct",
                if has_seat { "pub struct Player {\n    seat: Seat,\n}" } else { "pub struct Player;" },
            );
    }

    fn set_wire(&self, values: &mut Values) {
        let includes = self.schema.map_or_else(
            || "include!(concat!(env!(\"OUT_DIR\"), \"/game.rs\"));".to_owned(),
            |schema| includes(&schema.has, self.is_enveloped()),
        );
        let row = match (self.codec, self.schema) {
            (Codec::Protobuf, None) => "| `proto/game.proto` | the messages |",
            (Codec::Protobuf, Some(_)) => "| `build.rs` | names your `.proto` files, of which `src/wire.rs` is made |",
            (Codec::Bits, _) => "| `src/wire.rs` | the messages |",
            (Codec::Custom, _) => "| `src/wire.rs` | the messages, and the codec |",
        };
        values.set("includes", includes).set("wire-row", row);
        let (out, back) = match self.schema.map(|schema| (&schema.play, &schema.has)) {
            Some((Play::Messages { out, back }, has)) => (name_of(&out.rust, has), name_of(&back.rust, has)),
            _ => Default::default(),
        };
        values.set("out", out).set("in", back);
    }

    /// Whether the player needs its seat.
    fn set_bot(&self, values: &mut Values, transport: Transport) -> bool {
        let step = |ask: String| format!("cx.step(\"leave\", {ask}).await?;");
        let asked = |message: &str| match (self.is_enveloped(), transport) {
            (true, Transport::Http) | (false, _) => format!("ask(&game, {message})"),
            (true, _) => format!("game.call({message})"),
        };
        let mut has_seat = true;
        let (login, tick, leave, names) = match self.schema.map(|schema| (&schema.play, &schema.has)) {
            None if self.codec == Codec::Protobuf => (
                "Login { account: self.seat.account() }".to_owned(),
                "Move { x: tick.index as i32 % 100, y: 0 }".to_owned(),
                Some("Leave {}".to_owned()),
                ["Login", "Move", "Leave"].map(str::to_owned).into(),
            ),
            None => (
                "FromClient::Login { account: self.seat.account() }".to_owned(),
                "FromClient::Move { x: tick.index as i32 % 100, y: 0 }".to_owned(),
                Some("FromClient::Leave".to_owned()),
                Vec::new(),
            ),
            Some((Play::Messages { .. }, _)) => {
                has_seat = false;
                ("FromClient::default()".to_owned(), "FromClient::default()".to_owned(), None, Vec::new())
            }
            Some((Play::Requests(requests), has)) => {
                has_seat = requests.login.text.is_some();
                let write = |asked: &Asked, text: bool| literal(asked, &name_of(&asked.request.rust, has), text);
                let names = [Some(&requests.login), Some(&requests.tick), requests.leave.as_ref()];
                let names = names.into_iter().flatten().map(|asked| name_of(&asked.request.rust, has));
                let leave = requests.leave.as_ref().map(|asked| write(asked, false));
                (write(&requests.login, true), write(&requests.tick, false), leave, names.collect())
            }
        };
        let is_own = self.schema.is_none();
        let table = if transport == Transport::Http && self.is_enveloped() { "FromClient" } else { "" };
        let base: Vec<String> = match self.is_enveloped() {
            true => ["FromServer", table].into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            false => ["Client", "FromClient", "FromServer"].map(str::to_owned).into(),
        };
        values
            .set("ticking", if is_own { TICKING } else { "ticks.next().await.is_some()" })
            .set("login", login)
            .set("tick", tick)
            .set("leave-step", leave.map(|leave| step(asked(&leave))).unwrap_or_default())
            .set("wire-names", imports(base.into_iter().chain(names)))
            .set("http-imports", "{Codec, Http}")
            .set("protobuf-import", "")
            .set("ask-message", "FromClient")
            .set("client-codec", "Client::default()")
            .set("into", "")
            .set("body", "");
        if self.is_enveloped() {
            values
                .set("protobuf-import", "use loadkit::transport::protobuf::{Envelope, Enveloped};")
                .set("ask-message", "impl Into<Envelope<FromClient>>")
                .set("client-codec", "Enveloped::<FromServer>::new()")
                .set("into", ".into()")
                .set("body", ".body");
        }
        has_seat
    }

    fn set_stub(&self, values: &mut Values) {
        let answers = match self.schema.map(|schema| (&schema.play, &schema.has)) {
            None if self.codec == Codec::Protobuf => "FromClient::Login(_) => Envelope::new(Welcome {}),\n\
                FromClient::Move(Move { x, y }) => Envelope::new(Moved { x, y }),\n\
                FromClient::Leave(_) => Envelope::new(Goodbye {}),"
                .to_owned(),
            None => "let reply = match codec.decode(bytes).ok()? {\n    \
                FromClient::Login { .. } => FromServer::Welcome,\n    \
                FromClient::Move { x, y } => FromServer::Moved { x, y },\n    \
                FromClient::Leave => FromServer::Goodbye,\n};"
                .to_owned(),
            Some((Play::Messages { .. }, _)) => {
                "codec.decode(bytes).ok()?;\nlet reply = FromServer::default();".to_owned()
            }
            Some((Play::Requests(_), has)) => {
                let answer = |asked: &Asked| {
                    let reply = name_of(&asked.reply.rust, has);
                    format!("FromClient::{}(_) => Envelope::new({reply}::default()),", asked.request.variant)
                };
                has.requests.iter().map(answer).collect::<Vec<_>>().join("\n")
            }
        };
        values.set("answers", answers);
        values.set("other", if self.schema.is_none() { "FromClient::Unknown(_)" } else { "_" });
    }
}

/// A request with all fields at their defaults but, if wanted, the account as its first text.
fn literal(asked: &Asked, name: &str, with_account: bool) -> String {
    match &asked.text {
        _ if asked.fields == 0 => format!("{name} {{}}"),
        Some(text) if with_account && asked.fields == 1 => format!("{name} {{ {text}: self.seat.account() }}"),
        Some(text) if with_account => format!("{name} {{ {text}: self.seat.account(), ..{name}::default() }}"),
        _ => format!("{name}::default()"),
    }
}

/// How a message is called in the module `wire`, from its path in the module of the root package.
fn name_of(rust: &str, has: &Description) -> String {
    if has.packages.len() == 1 {
        return rust.to_owned();
    }
    let mut parts: Vec<String> = has.root.split('.').map(ToSnakeCase::to_snake_case).collect();
    let mut rest = rust;
    while let Some(after) = rest.strip_prefix("super::") {
        parts.pop();
        rest = after;
    }
    parts.iter().map(String::as_str).chain([rest]).collect::<Vec<_>>().join("::")
}

/// `{A, B}`, or `A` alone. Of a path its first part is brought in.
fn imports(names: impl IntoIterator<Item = String>) -> String {
    let names: BTreeSet<String> =
        names.into_iter().map(|name| name.split("::").next().unwrap_or_default().to_owned()).collect();
    // Modules go first, as a formatter has them.
    let (modules, types): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with(char::is_lowercase));
    let all: Vec<String> = types.into_iter().chain(modules).collect();
    if all.len() == 1 { all.concat() } else { format!("{{{}}}", all.join(", ")) }
}

/// The generated files, as modules within modules where there are several packages.
fn includes(has: &Description, has_tables: bool) -> String {
    let include = |package: &str| {
        let file = if package.is_empty() { "_" } else { package };
        format!("include!(concat!(env!(\"OUT_DIR\"), \"/{file}.rs\"));")
    };
    if let [only] = &has.packages[..] {
        return include(only);
    }
    let mut root = Module::default();
    for package in &has.packages {
        let place = package
            .split('.')
            .filter(|part| !part.is_empty())
            .fold(&mut root, |module, part| module.inner.entry(part.to_snake_case()).or_default());
        place.include = Some(include(package));
    }
    let mut text = String::new();
    if has_tables {
        let path: Vec<String> = has.root.split('.').map(ToSnakeCase::to_snake_case).collect();
        text = format!("pub use {}::{{FromClient, FromServer}};\n\n", path.join("::"));
    }
    root.write(0, &mut text);
    text
}

/// A package as a module.
#[derive(Default)]
struct Module {
    include: Option<String>,
    inner: BTreeMap<String, Module>,
}

impl Module {
    fn write(&self, depth: usize, text: &mut String) {
        let indent = "    ".repeat(depth);
        if let Some(include) = &self.include {
            text.push_str(&format!("{indent}{include}\n"));
        }
        for (name, module) in &self.inner {
            text.push_str(&format!("{indent}pub mod {name} {{\n"));
            module.write(depth + 1, text);
            text.push_str(&format!("{indent}}}\n"));
        }
    }
}
