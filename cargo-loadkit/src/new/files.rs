//! `choice -> files`: what a new load client consists of.

use std::path::{Path, PathBuf};

use heck::ToUpperCamelCase;

use super::choice::{Codec, Transport};
use super::messages::Messages;
use super::name;
use super::schema::Schema;
use super::template::Values;

/// What is to be made.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) name: &'a str,
    pub(super) transport: Transport,
    pub(super) codec: Codec,
    /// The team's own, for Protobuf.
    pub(super) schema: Option<&'a Schema>,
    /// Where loadkit is: what stands in the manifest before the features.
    pub(super) loadkit: &'a Source,
    /// The folder to be made, absolute.
    pub(super) folder: &'a Path,
}

/// Where the crates of loadkit come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A folder with its repository, absolute.
    Path(PathBuf),
    /// A git repository.
    Git(String),
}

impl Source {
    /// A dependency on one of the crates.
    fn dependency(&self, name: &str, from: &Path, default_features: bool, features: &[&str]) -> String {
        let mut fields = vec![match self {
            Source::Path(root) => format!("path = {:?}", relative(from, &root.join(name))),
            Source::Git(url) => format!("git = {url:?}"),
        }];
        if !default_features {
            fields.push("default-features = false".to_owned());
        }
        if !features.is_empty() {
            fields.push(format!("features = {features:?}"));
        }
        format!("{name} = {{ {} }}", fields.join(", "))
    }
}

/// The way from a folder to a place, both absolute. Slashes go forward, as manifests have them.
pub(super) fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // With nothing in common but the root, the whole path is plainer.
    if common <= 1 {
        return to.iter().collect::<PathBuf>().to_string_lossy().into_owned();
    }
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let down = to.iter().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The files: path in the crate, and text.
///
/// # Errors
/// A fault of ours in a template.
pub(super) fn files(wish: &Wish<'_>) -> Result<Vec<(String, String)>, String> {
    let &Wish { name, transport, codec, .. } = wish;
    let messages = Messages::of(codec, wish.schema);
    let mut values = Values::default();
    let port = if transport == Transport::Http { "8080" } else { "4000" };
    values
        .set("name", name)
        .set("ident", name::ident(name))
        .set("scenario", name.to_upper_camel_case())
        .set("folder", wish.folder.file_name().map_or(name.to_owned(), |name| name.to_string_lossy().into_owned()))
        .set("port", port)
        .set("scheme", transport.scheme())
        .set("dial", transport.dial())
        .set("ask-imports", sorted(["Connection", "Protocol", transport.dial()]).join(", "))
        .set("server", if transport.is_stream() { "stream_server" } else { "server" })
        .set("transport-words", transport.words())
        .set("codec-words", codec.words())
        .set("dependencies", dependencies(wish))
        .set("build-dependencies", build_dependencies(wish));
    messages.set(&mut values, transport);
    let stub = [header(transport, &messages), loop_of(transport).to_owned(), messages.answer_template().to_owned()];

    let (bits, custom) = (include_str!("../../templates/wire/bits.rs"), include_str!("../../templates/wire/custom.rs"));
    let (proto, plain) =
        (include_str!("../../templates/wire/protobuf.rs"), include_str!("../../templates/wire/plain.rs"));
    let wire = match codec {
        Codec::Bits => bits,
        Codec::Custom => custom,
        Codec::Protobuf if messages.is_enveloped() => proto,
        Codec::Protobuf => plain,
    };
    let bot = match transport {
        Transport::Http => include_str!("../../templates/bot/http.rs"),
        _ if messages.is_enveloped() => include_str!("../../templates/bot/call.rs"),
        _ => include_str!("../../templates/bot/ask.rs"),
    };
    let server = match transport.is_stream() {
        true => include_str!("../../templates/server_streams.rs"),
        false => include_str!("../../templates/server_datagrams.rs"),
    };
    let build = match codec {
        Codec::Protobuf => include_str!("../../templates/build/proto.rs"),
        Codec::Bits | Codec::Custom => include_str!("../../templates/build/stamp.rs"),
    };
    values.set("proto-files", proto_files(wish.schema)).set("proto-includes", proto_includes(wish));
    let own_server = format!("src/bin/{name}-server.rs");
    let mut templates = vec![
        (".gitignore", include_str!("../../templates/gitignore")),
        ("Cargo.toml", include_str!("../../templates/manifest.toml")),
        ("README.md", include_str!("../../templates/README.md")),
        ("build.rs", build),
        ("ci/load-test.sh", include_str!("../../templates/load-test.sh")),
        ("loadkit.toml", include_str!("../../templates/loadkit.toml")),
        ("plan.toml", include_str!("../../templates/plan.toml")),
        (&own_server, server),
        ("src/bot.rs", bot),
        ("src/lib.rs", include_str!("../../templates/lib.rs")),
        ("src/main.rs", include_str!("../../templates/main.rs")),
        ("src/wire.rs", wire),
        ("tests/bot.rs", include_str!("../../templates/test.rs")),
    ];
    if codec == Codec::Protobuf && wish.schema.is_none() {
        templates.push(("proto/game.proto", include_str!("../../templates/game.proto")));
    }
    let stub = stub.join("\n");
    templates.push(("src/stub.rs", &stub));
    templates.sort_by_key(|(path, _)| path.to_owned());
    templates.into_iter().map(|(path, template)| Ok((path.to_owned(), values.fill(template)?))).collect()
}

/// The lines of `[dependencies]`.
fn dependencies(wish: &Wish<'_>) -> String {
    let mut lines = vec![wish.loadkit.dependency("loadkit", wish.folder, true, wish.transport.features())];
    let mut tokio = vec!["macros", "net", "rt", "time"];
    match wish.transport {
        Transport::Rudp | Transport::Udp => {}
        Transport::Tcp => tokio.insert(0, "io-util"),
        Transport::Ws => lines.extend(
            [
                "futures-util = { version = \"0.3\", default-features = false, features = [\"sink\", \"std\"] }",
                "tokio-tungstenite = { version = \"0.30\", default-features = false, features = [\"handshake\"] }",
            ]
            .map(str::to_owned),
        ),
        Transport::Http => lines.extend(
            [
                "http-body-util = \"0.1\"",
                "hyper = { version = \"1\", features = [\"http1\", \"server\"] }",
                "hyper-util = { version = \"0.1\", features = [\"tokio\"] }",
            ]
            .map(str::to_owned),
        ),
    }
    lines.push(format!("tokio = {{ version = \"1\", features = {tokio:?} }}"));
    lines.sort();
    lines.join("\n")
}

fn build_dependencies(wish: &Wish<'_>) -> String {
    // Without Protobuf only the stamp is made, which needs next to nothing.
    wish.loadkit.dependency("loadkit-build", wish.folder, wish.codec == Codec::Protobuf, &[])
}

/// The files of the schema, as `build.rs` names them.
fn proto_files(schema: Option<&Schema>) -> String {
    let files = schema.map_or(vec!["game.proto".to_owned()], |schema| schema.files.clone());
    files.iter().map(|file| format!("{file:?}")).collect::<Vec<_>>().join(", ")
}

/// Where `build.rs` looks for them.
fn proto_includes(wish: &Wish<'_>) -> String {
    let folders = wish.schema.map_or(vec!["proto".to_owned()], |schema| {
        schema.includes.iter().map(|folder| relative(wish.folder, folder)).collect()
    });
    folders.iter().map(|folder| format!(".include({folder:?})")).collect()
}

/// What the stub brings into its scope.
fn header(transport: Transport, messages: &Messages<'_>) -> String {
    let (std, others, mut ours): (&[&str], &[&str], Vec<&str>) = match transport {
        Transport::Rudp => (&["std::io"], &["tokio::time::Instant"], vec!["Endpoint", "Event", "rudp"]),
        Transport::Udp => (&["std::future::poll_fn", "std::io"], &[], vec!["Endpoint"]),
        Transport::Tcp => (&["std::io"], &["tokio::io::{AsyncReadExt, AsyncWriteExt}"], vec!["Listener", "Stream"]),
        Transport::Ws => (
            &["std::io"],
            &[
                "futures_util::{SinkExt, TryStreamExt}",
                "tokio_tungstenite::accept_async",
                "tokio_tungstenite::tungstenite::{self, Message}",
            ],
            vec!["Listener", "Stream"],
        ),
        Transport::Http => (
            &["std::io"],
            &[
                "http_body_util::{BodyExt, Full}",
                "hyper::body::{Bytes, Incoming}",
                "hyper::server::conn::http1",
                "hyper::service::service_fn",
                "hyper::{Request, Response, StatusCode}",
                "hyper_util::rt::TokioIo",
            ],
            vec!["Listener"],
        ),
    };
    ours.push("Codec");
    let ours = sorted(ours);
    let mut crates: Vec<String> = others.iter().map(|path| format!("use {path};")).collect();
    crates.push(format!("use loadkit::transport::{{{}}};", ours.join(", ")));
    if messages.is_enveloped() {
        crates.push("use loadkit::transport::protobuf::{Envelope, Enveloped};".to_owned());
    }
    crates.sort();
    let std: Vec<String> = std.iter().map(|path| format!("use {path};")).collect();
    let about = "//! A stub of the server: enough to play against, until your own takes its place.";
    let own = format!("use crate::wire::{};", messages.stub_imports());
    format!("{about}\n\n{}\n\n{}\n\n{own}\n", std.join("\n"), crates.join("\n"))
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names
}

fn loop_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Rudp => include_str!("../../templates/stub/rudp.rs"),
        Transport::Tcp => include_str!("../../templates/stub/tcp.rs"),
        Transport::Ws => include_str!("../../templates/stub/ws.rs"),
        Transport::Udp => include_str!("../../templates/stub/udp.rs"),
        Transport::Http => include_str!("../../templates/stub/http.rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_go_up_and_down() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/games/mine/bots", "/games/mine/proto"), "../proto");
        assert_eq!(way("/games/mine/bots", "/games/loadkit/loadkit"), "../../loadkit/loadkit");
        assert_eq!(way("/games/mine", "/opt/loadkit"), "/opt/loadkit");
    }
}
