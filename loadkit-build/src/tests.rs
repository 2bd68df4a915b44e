//! Schemas that make no sense, and what they are told; and what is made of those that do.

use std::collections::BTreeMap;
use std::fs;

use super::{Error, Proto};

/// Compiles files; the last is the one that is asked for. What is generated, by name.
fn compile(files: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Error> {
    let (sources, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, text) in files {
        fs::write(sources.path().join(name), text).unwrap();
    }
    let root = files.last().unwrap().0;
    Proto::new().include(sources.path()).out_dir(out.path()).descriptor_set("all.binpb").compile(&[root])?;
    let files = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap());
    let text = |file: fs::DirEntry| {
        let name = file.file_name().to_string_lossy().into_owned();
        (name, String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned())
    };
    Ok(files.map(text).collect())
}

/// A schema with this in it.
fn schema(body: &str) -> String {
    format!("syntax = \"proto3\";\npackage game;\nimport \"loadkit/options.proto\";\n{body}")
}

/// Code without what a formatter puts into it.
fn squeezed(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    [",)", ",]", ",>"].iter().fold(code, |code, end| code.replace(end, &end[1..]))
}

/// What a schema with this in it is told. Its first line is line 4.
fn told(body: &str) -> String {
    compile(&[("game.proto", &schema(body))]).map(|_| String::new()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn an_opcode_that_is_there_twice_names_both_messages_and_where_they_are() {
    let twice = "message Move { option (lk.opcode) = 3; option (lk.from) = CLIENT; }\n\n\
                 message Leave { option (lk.opcode) = 3; option (lk.from) = CLIENT; }";
    assert_eq!(
        told(twice),
        "game.proto:6: game.Leave: its opcode 3 is that of game.Move (game.proto:4) already; take another"
    );
    let other = schema("message Move { option (lk.opcode) = 3; option (lk.from) = CLIENT; }");
    let game = "syntax = \"proto3\"; package other; import \"game.proto\"; import \"loadkit/options.proto\";\n\
                message Leave { option (lk.opcode) = 3; option (lk.from) = SERVER; }";
    let error = compile(&[("game.proto", &other), ("other.proto", game)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "other.proto:2: other.Leave: its opcode 3 is that of game.Move (game.proto:4) already; take another",
        "in another file, another package, and the other direction"
    );
    assert_eq!(format!("{error:?}"), format!("the schema cannot be compiled:\n{error}"), "as a build.rs shows it");
}

#[test]
fn each_fault_is_told_in_a_line_of_its_own() {
    let three = "message A { option (lk.opcode) = 0; option (lk.from) = CLIENT; }\n\
                 message B { option (lk.params) = \"T\"; }\n\
                 message C { option (lk.opcode) = 2; option (lk.reply) = \"Nobody\"; }";
    let told = told(three);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].starts_with("game.proto:4: game.A: its opcode is 0, "), "{told}");
    assert!(lines[1].starts_with("game.proto:5: game.B: the type parameter T is not used; "), "{told}");
    assert!(lines[2].starts_with("game.proto:6: game.C: its reply `Nobody` is no message of the schema"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused_and_says_why() {
    let wire =
        |name: &str, opcode: u32, more: &str| format!("message {name} {{ option (lk.opcode) = {opcode}; {more} }}\n");
    let generic = "message Box { option (lk.params) = \"T\"; bytes value = 1 [(lk.of) = \"T\"]; }\n";
    let cases = [
        // Opcodes and replies.
        (wire("A", 0, "option (lk.from) = CLIENT;"), "its opcode is 0"),
        (wire("A", 1, "option (lk.reply) = \"B\";") + "message B {}", "its reply game.B (game.proto:5) has no opcode"),
        ("message A { option (lk.reply) = \"A\"; }".to_owned(), "the option `reply` and no opcode"),
        ("message A { option (lk.channel) = UNORDERED; }".to_owned(), "the option `channel` and no opcode"),
        (wire("Unknown", 1, "option (lk.from) = CLIENT;"), "a name of the tables of opcodes"),
        (wire("FromClient", 1, "option (lk.from) = CLIENT;"), "a name of the tables of opcodes"),
        (
            wire("A", 1, "option (lk.from) = CLIENT; message B { option (lk.opcode) = 2; option (lk.from) = CLIENT; }")
                + &wire("B", 3, "option (lk.from) = SERVER;"),
            "called as game.A.B",
        ),
        // Who sends what.
        (wire("A", 1, ""), "nobody sends it"),
        (wire("A", 1, "option (lk.error) = true;"), "nobody sends it"),
        (
            wire("A", 1, "option (lk.reply) = \"B\";") + &wire("B", 2, "option (lk.from) = CLIENT;"),
            "game.B: it answers game.A (game.proto:4), so it comes from the other side",
        ),
        (
            wire("A", 1, "option (lk.reply) = \"B\";")
                + &wire("B", 2, "option (lk.reply) = \"C\";")
                + &wire("C", 3, "option (lk.from) = BOTH;"),
            "game.B: it answers game.A (game.proto:4), and asks itself",
        ),
        // Type parameters.
        ("message A { option (lk.params) = \"T, T\"; bytes v = 1 [(lk.of) = \"T\"]; }".to_owned(), "parameter T twice"),
        ("message A { option (lk.params) = \"1\"; }".to_owned(), "`1` is no name for a type parameter"),
        ("message A { option (lk.params) = \"T, E\"; bytes v = 1 [(lk.of) = \"T\"]; }".to_owned(), "E is not used"),
        (generic.to_owned() + &wire("B", 1, "option (lk.params) = \"T\"; bytes v = 1 [(lk.of) = \"T\"];"), "no opcode"),
        // Types of fields.
        ("message A { bytes v = 1 [(lk.of) = \"U\"]; }".to_owned(), "field `v`: \"U\": there is no message `U`"),
        (
            "message A { option (lk.params) = \"T\"; bytes v = 1 [(lk.of) = \"U\"]; bytes w = 2 [(lk.of) = \"T\"]; }"
                .to_owned(),
            "`U` is neither a message nor one of the type parameters `T`",
        ),
        ("message A { string v = 1 [(lk.of) = \"A\"]; }".to_owned(), "`of` is for fields of `bytes`"),
        (generic.to_owned() + "message A { Box v = 1; }", "game.Box is generic: say which it is"),
        (generic.to_owned() + "message A { Box v = 1 [(lk.of) = \"A\"]; }", "something else than a game.Box"),
        (generic.to_owned() + "message A { bytes v = 1 [(lk.of) = \"Box\"]; }", "game.Box takes 1 (`T`), and got 0"),
        (generic.to_owned() + "message A { bytes v = 1 [(lk.of) = \"Box<A, A>\"]; }", "takes 1 (`T`), and got 2"),
        ("message A { bytes v = 1 [(lk.of) = \"A<A>\"]; }".to_owned(), "game.A takes no types, and got 1"),
        (generic.to_owned() + "message A { bytes v = 1 [(lk.of) = \"Box<A\"]; }", "a `>` is missing"),
        (generic.to_owned() + "message A { bytes v = 1 [(lk.of) = \"Box<>\"]; }", "a type's name is missing"),
        (generic.to_owned() + "message A { bytes v = 1 [(lk.of) = \"A A\"]; }", "`A` is too much"),
        (
            format!("message A {{ bytes v = 1 [(lk.of) = \"{}\"]; }}", "Paged<".repeat(100)),
            "more than 16 types in each other",
        ),
        (
            "message A { bytes v = 1 [(lk.of) = \"A\"]; map<string, string> m = 2; }".to_owned(),
            "field `v` cannot stand beside the map `m`",
        ),
        // Aliases.
        ("message B {} message A { option (lk.alias) = \"B\"; }".to_owned(), "game.B, which is not generic"),
        ("message B {} message A { option (lk.alias) = \"Paged<C>\"; }".to_owned(), "there is no message `C`"),
        (
            "message B {} message A { option (lk.alias) = \"Paged<B>\"; repeated B items = 1; }".to_owned(),
            "has no field 2, which is `page` there",
        ),
        (
            generic.to_owned() + "message B {} message A { option (lk.alias) = \"Box<B>\"; string value = 1; }",
            "its field 1 is something else than `value` there",
        ),
        (
            generic.to_owned() + "message B {} message A { option (lk.alias) = \"Box<B>\"; B value = 1; B more = 2; }",
            "has a field 2 more",
        ),
    ];
    for (body, says) in cases {
        let told = told(&body);
        assert!(told.contains(says), "{body}\nis told: {told}\nand not: {says}");
        assert!(told.starts_with("game.proto:"), "{told}");
    }
}

#[test]
fn what_is_no_protobuf_is_told_with_its_place() {
    let told = told("message A { strin v = 1; }");
    assert!(told.contains("game.proto:4:13") && told.contains("strin"), "{told}");
    let error = Proto::new().out_dir(".").compile(&["missing.proto"]).unwrap_err();
    assert!(error.to_string().contains("missing.proto"), "{error}");
}

#[test]
fn messages_become_what_their_options_say() {
    let made = compile(&[(
        "game.proto",
        &schema(
            "// Goes somewhere.
             message Move { option (lk.opcode) = 3; option (lk.reply) = \"Moved\"; option (lk.channel) = UNORDERED; }
             message Moved { option (lk.opcode) = 13; sint32 x = 1; }
             message Item { string match = 1; }
             message Dated {
               option (lk.params) = \"T, By\";
               uint64 since_ms = 1;
               bytes value = 2 [(lk.of) = \"T\"];
               oneof author { string name = 3; bytes by = 4 [(lk.of) = \"Paged<By>\"]; }
             }
             message Page { option (lk.alias) = \"Paged<Dated<Item, Move>>\"; }",
        ),
    )])
    .unwrap();
    let code = squeezed(&made["game.rs"].replace("::loadkit::transport::", ""));
    for part in [
        "/// Goes somewhere. #[derive(",
        "pub struct Dated< T: protobuf::prost::Message + ::core::default::Default, \
         By: protobuf::prost::Message + ::core::default::Default, >",
        "pub since_ms: u64, pub value: T,",
        "pub author: ::core::option::Option<dated::Author<By>>,",
        "By(protobuf::Paged<By>),",
        "pub struct Page( /// What it is. pub protobuf::Paged<Dated<Item, Move>>, );",
        "impl protobuf::Wire for Move { const OPCODE: u32 = 3; const NAME: &'static str = \"Move\"; }",
        "Self::Move(protobuf::prost::Message::decode(body)?)",
        "Self::Move(_) => Channel::UNORDERED,",
        "const MESSAGES: &'static [(u32, &'static str)] = &[(13, \"Moved\")];",
        "type Reply = Moved;",
        "pub r#match: protobuf::prost::alloc::string::String,",
    ] {
        assert!(code.contains(&squeezed(part)), "{part}\nis not in\n{code}");
    }
    assert!(made["all.binpb"].contains("game.proto") && made["all.binpb"].contains("google/protobuf/descriptor.proto"));
}

#[test]
fn a_schema_without_options_is_what_prost_makes_of_it() {
    let plain = "syntax = \"proto3\"; package game; message A { string v = 1; }";
    let made = compile(&[("game.proto", plain)]).unwrap();
    assert!(made["game.rs"].contains("pub struct A {"));
    assert!(!made["game.rs"].contains("FromClient"));
}

#[test]
fn requests_may_come_from_the_server() {
    let made = compile(&[(
        "game.proto",
        &schema(
            "message Ask { option (lk.opcode) = 1; option (lk.reply) = \"Say\"; option (lk.from) = SERVER; }
             message Say { option (lk.opcode) = 2; }
             message No { option (lk.opcode) = 3; option (lk.error) = true; }
             message Hail { option (lk.opcode) = 4; option (lk.from) = BOTH; }",
        ),
    )])
    .unwrap();
    let code = squeezed(&made["game.rs"]);
    let tables: Vec<&str> = code.split("constMESSAGES:&'static[(u32,&'staticstr)]=").skip(1).collect();
    let [from_client, from_server] = tables[..] else { panic!("two tables: {code}") };
    assert!(from_client.starts_with("&[(2,\"Say\"),(3,\"No\"),(4,\"Hail\")];"), "{from_client}");
    assert!(from_server.starts_with("&[(1,\"Ask\"),(4,\"Hail\")];"), "{from_server}");
    assert!(code.contains("Request<::loadkit::transport::protobuf::Enveloped<FromClient>>forAsk"), "{code}");
}

#[test]
fn the_schemas_of_the_documents_are_right() {
    let guide = include_str!("../../docs/protobuf.md");
    for (document, name) in [(guide, "game.rs"), (&include_str!("lib.rs").replace("//! ", ""), "arena.rs")] {
        let (_, rest) = document.split_once("```proto\n").unwrap();
        let (sample, _) = rest.split_once("```").unwrap();
        let made = compile(&[("sample.proto", sample)]).unwrap();
        assert!(made[name].contains("impl ::loadkit::transport::protobuf::Opcodes for FromServer"), "{sample}");
    }
}

#[test]
fn a_fingerprint_is_of_what_goes_over_the_wire() {
    let of = |files: &[(&str, String)]| {
        let sources = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(sources.path().join(name), text).unwrap();
        }
        Proto::new().include(sources.path()).fingerprint(&[files.last().unwrap().0]).unwrap()
    };
    let body =
        "message Move { option (lk.opcode) = 3; option (lk.from) = CLIENT; sint32 dx = 1; }\nenum Why { NONE = 0; }\n";
    let first = of(&[("game.proto", schema(body))]);
    assert!(first.len() == 16 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    let turned = body.lines().rev().collect::<Vec<_>>().join("\n// A comment.\n");
    assert_eq!(of(&[("other.proto", schema(&turned))]), first, "names of files, comments and order do not count");
    for (what, changed) in [
        ("a number", body.replace("dx = 1", "dx = 2")),
        ("a type", body.replace("sint32", "int32")),
        ("presence", body.replace("sint32", "optional sint32")),
        ("an opcode", body.replace("= 3", "= 4")),
        ("a value", body.replace("NONE = 0;", "NONE = 0; TIRED = 1;")),
        ("a channel", body.replace("option (lk.from)", "option (lk.channel) = UNORDERED; option (lk.from)")),
    ] {
        assert_ne!(of(&[("game.proto", schema(&changed))]), first, "{what}");
    }
}

#[test]
fn a_schema_is_described_for_who_writes_code_for_it() {
    let sources = tempfile::tempdir().unwrap();
    let body = "message Enter { option (lk.opcode) = 1; option (lk.reply) = \"Entered\"; uint32 version = 1; string user_name = 2; }
        message Entered { option (lk.opcode) = 2; }
        message Box { option (lk.params) = \"T\"; bytes it = 1 [(lk.of) = \"T\"]; }
        message News { option (lk.opcode) = 3; option (lk.from) = SERVER; }";
    fs::write(sources.path().join("game.proto"), schema(body)).unwrap();
    let has = Proto::new().include(sources.path()).describe(&["game.proto"]).unwrap();
    assert_eq!((has.packages, has.root.as_str()), (vec!["game".to_owned()], "game"));
    let [asked] = &has.requests[..] else { panic!("{:?}", has.requests) };
    assert_eq!((asked.request.rust.as_str(), asked.reply.variant.as_str()), ("Enter", "Entered"));
    assert_eq!((asked.text.as_deref(), asked.fields), (Some("user_name"), 2));
    let names: Vec<&str> = has.messages.iter().map(|message| message.full.as_str()).collect();
    assert_eq!(names, ["game.Enter", "game.Entered", "game.News"], "generic messages are none by themselves");
}
