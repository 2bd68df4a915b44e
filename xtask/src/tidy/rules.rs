//! The rules. Each is a function from a file to the lines at which it is broken.
//!
//! What rustc and clippy can check is left to them: undocumented items, `unwrap` in library code, unsafe code. Here is
//! what they cannot see, and that nobody turns them off in silence.

use super::source::{Source, line_at};

/// A line, and what is wrong there.
pub(super) type Found = (usize, String);

pub(super) struct Rule {
    /// By which an exception names it.
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    pub(super) remedy: &'static str,
    pub(super) check: fn(&Source) -> Vec<Found>,
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "clock",
        why: "time is injected, so that a run can be repeated in virtual time",
        remedy: "use tokio's `Instant`, or name this file as a clock in xtask/src/tidy/allow.rs",
        check: clock,
    },
    Rule {
        name: "bounds",
        why: "everything has a bound, or a slow reader eats all memory",
        remedy: "use a bounded channel and count what it refuses",
        check: bounds,
    },
    Rule {
        name: "sleep",
        why: "tests that sleep are slow and fail on a busy machine",
        remedy: "wait for the event itself, or sleep in virtual time (`start_paused = true`)",
        check: sleep,
    },
    Rule {
        name: "length",
        why: "a file should be read in one sitting",
        remedy: "split it where it changes its subject",
        check: length,
    },
    Rule {
        name: "opening",
        why: "the first line of a crate is its design in a sentence",
        remedy: "open it with a `//!` comment",
        check: opening,
    },
    Rule {
        name: "lints",
        why: "the lints of the workspace, the ban on unsafe code among them, hold in every crate",
        remedy: "add `[lints]` with `workspace = true`, or name the crate with its reason in xtask/src/tidy/allow.rs",
        check: lints,
    },
    Rule {
        name: "reason",
        why: "a lint that is switched off in silence stays off",
        remedy: "write `#[expect(the_lint, reason = \"...\")]`, or do without",
        check: reason,
    },
    Rule {
        name: "glob",
        why: "a reader sees the public surface on one page",
        remedy: "name what you export",
        check: glob,
    },
    Rule {
        name: "unfinished",
        why: "what is left to do belongs into an issue, where it is found",
        remedy: "do it, or file it and say here what is true now",
        check: unfinished,
    },
    Rule {
        name: "machine-path",
        why: "it is there on one machine only",
        remedy: "make it relative, or take it from the environment or from a temporary directory",
        check: machine_path,
    },
];

/// Lines of a file that are not tests, and all its lines.
const LENGTHS: (usize, usize) = (400, 900);

/// tokio's `Instant` is the injected clock, which a test can stop; the machine's own are not.
fn clock(source: &Source) -> Vec<Found> {
    let is_tokios = |statement: &str| words(statement, "Instant").next().is_some();
    let mut imports = source.code.split("use tokio::").skip(1).filter_map(|rest| rest.split(';').next());
    let instant = if imports.any(is_tokios) { "std::time::Instant::now" } else { "Instant::now" };
    let mut found = in_code(source, &[instant, "StdInstant::now", "SystemTime::now"], "is read here");
    found.retain(|(line, _)| {
        let code = source.code.lines().nth(line - 1).unwrap_or_default();
        !source.is_test(*line) && !code.contains("tokio::time::Instant::now")
    });
    found
}

fn bounds(source: &Source) -> Vec<Found> {
    let mut found = in_code(source, &["unbounded_channel", "mpsc::unbounded", "channel::unbounded"], "has no bound");
    // std's `mpsc::channel` takes no arguments and has no bound; tokio's and ours take theirs.
    found.extend(in_code(source, &["mpsc::channel"], "of the standard library has no bound").into_iter().filter(
        |(line, _)| {
            let code = source.code.lines().nth(line - 1).unwrap_or_default();
            code.split("mpsc::channel").skip(1).any(|rest| {
                let turbofish = rest.starts_with("::<").then(|| rest.rfind(">(")).flatten();
                rest[turbofish.map_or(0, |at| at + 1)..].starts_with("()")
            })
        },
    ));
    found
}

fn sleep(source: &Source) -> Vec<Found> {
    let virtual_time = ["start_paused", "time::pause("].iter().any(|sign| source.code.contains(sign));
    let needles: &[&str] = if virtual_time { &["thread::sleep"] } else { &["thread::sleep", "time::sleep"] };
    let mut found = in_code(source, needles, "in a test");
    found.retain(|(line, _)| source.is_test(*line));
    found
}

fn length(source: &Source) -> Vec<Found> {
    if !source.is_rust() {
        return Vec::new();
    }
    let (all, without_tests) = source.lengths();
    if without_tests > LENGTHS.0 {
        vec![(1, format!("{without_tests} lines without the tests, of at most {}", LENGTHS.0))]
    } else if all > LENGTHS.1 {
        vec![(1, format!("{all} lines with the tests, of at most {}", LENGTHS.1))]
    } else {
        Vec::new()
    }
}

fn opening(source: &Source) -> Vec<Found> {
    let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| source.path.ends_with(root))
        || source.path.contains("/src/bin/") && source.is_rust();
    if !is_root || source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![(1, "the crate does not say what it is".to_string())]
}

fn lints(source: &Source) -> Vec<Found> {
    if !source.path.ends_with("Cargo.toml") || !has_line(source, "[package]") {
        return Vec::new();
    }
    let mut after = source.code.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    if after.next() == Some("workspace = true") {
        return Vec::new();
    }
    vec![(1, "the crate does not take the lints of the workspace".to_string())]
}

fn reason(source: &Source) -> Vec<Found> {
    let mut found = Vec::new();
    if !source.is_rust() {
        return found;
    }
    for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (start, _) in source.code.match_indices(opening) {
            let line = line_at(&source.code, start);
            let attribute = source.code[start..].split(")]").next().unwrap_or_default();
            if !attribute.contains("reason =") && !source.is_test(line) {
                found.push((line, "a lint is switched off and nobody says why".to_string()));
            }
        }
    }
    found
}

fn glob(source: &Source) -> Vec<Found> {
    let mut found = Vec::new();
    for (start, _) in source.code.match_indices("pub use ") {
        let statement = source.code[start..].split(';').next().unwrap_or_default();
        if source.is_rust() && statement.contains('*') {
            found.push((line_at(&source.code, start), "`pub use` of all that there is".to_string()));
        }
    }
    found
}

fn unfinished(source: &Source) -> Vec<Found> {
    let mut found = in_code(source, &["todo!(", "unimplemented!("], "is left");
    if source.is_rust() {
        for marker in ["TODO", "FIXME", "XXX"] {
            found.extend(words(&source.prose, marker).map(|line| (line, format!("`{marker}` is left"))));
        }
    }
    found
}

fn machine_path(source: &Source) -> Vec<Found> {
    let mut found = Vec::new();
    for root in [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")] {
        for (start, _) in source.text.match_indices(root) {
            // Within a longer path, or in a URL, it is no root.
            let before = source.text[..start].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && !"_-.*/}>".contains(before) {
                found.push((line_at(&source.text, start), format!("the path `{root}...`")));
            }
        }
    }
    found
}

/// Where these words stand in the code of a Rust file.
fn in_code(source: &Source, needles: &[&str], what: &str) -> Vec<Found> {
    if !source.is_rust() {
        return Vec::new();
    }
    let found = needles
        .iter()
        .flat_map(|needle| words(&source.code, needle).map(move |line| (line, format!("`{}` {what}", bare(needle)))));
    found.collect()
}

/// The lines at which the word stands, where it is not a part of a longer one.
fn words(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter_map(move |(start, _)| {
        let before = text[..start].chars().next_back().is_some_and(in_word);
        let after = word.ends_with(in_word) && text[start + word.len()..].starts_with(in_word);
        (!before && !after).then(|| line_at(text, start))
    })
}

fn bare(needle: &str) -> &str {
    needle.trim_end_matches('(')
}

fn has_line(source: &Source, wanted: &str) -> bool {
    source.code.lines().any(|line| line.trim() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines at which the rule of this name is broken.
    fn broken(rule: &str, path: &str, text: &str) -> Vec<usize> {
        let source = Source::new(path, text.to_string());
        let rule = RULES.iter().find(|known| known.name == rule).expect("a rule of this name");
        (rule.check)(&source).into_iter().map(|(line, _)| line).collect()
    }

    const LIB: &str = "a/src/a.rs";

    #[test]
    fn clocks() {
        assert_eq!(broken("clock", LIB, "fn a() {\n    let t = Instant::now();\n}"), [2]);
        assert_eq!(broken("clock", LIB, "std::time::SystemTime::now()"), [1]);
        assert_eq!(broken("clock", LIB, "// Instant::now\nlet a = \"Instant::now\";"), [0; 0]);
        assert_eq!(broken("clock", LIB, "#[cfg(test)]\nmod tests {\n    fn a() { Instant::now(); }\n}"), [0; 0]);
        assert_eq!(broken("clock", LIB, "MyInstant::now(); Instant::nowhere();"), [0; 0]);
        assert_eq!(broken("clock", LIB, "use std::time::Instant as StdInstant;\nStdInstant::now();"), [2]);
        for import in ["use tokio::time::Instant;", "use tokio::{\n    task,\n    time::{Duration, Instant},\n};"] {
            assert_eq!(broken("clock", LIB, &format!("{import}\nInstant::now();")), [0; 0]);
            assert_ne!(broken("clock", LIB, &format!("{import}\nstd::time::Instant::now();")), [0; 0]);
        }
        assert_eq!(broken("clock", LIB, "use tokio::task;\nuse std::time::Instant;\nInstant::now();"), [3]);
        assert_eq!(broken("clock", LIB, "tokio::time::Instant::now();"), [0; 0]);
        assert_eq!(broken("clock", "a/README.md", "Instant::now()"), [0; 0]);
    }

    #[test]
    fn channels() {
        assert_eq!(broken("bounds", LIB, "use tokio::sync::mpsc;\nlet c = mpsc::unbounded_channel();"), [2]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::unbounded();"), [1]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::channel();"), [1]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::channel::<Vec<u8>>();"), [1]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::channel(16);"), [0; 0]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::channel::<Vec<u8>>(16);"), [0; 0]);
        assert_eq!(broken("bounds", LIB, "let c = mpsc::sync_channel(1); // not unbounded_channel"), [0; 0]);
    }

    #[test]
    fn sleeps() {
        let sleeper = "#[test]\nfn a() {\n    std::thread::sleep(d);\n}";
        assert_eq!(broken("sleep", "a/tests/a.rs", sleeper), [3]);
        assert_eq!(broken("sleep", "a/tests/a.rs", "async fn a() { tokio::time::sleep(d).await; }"), [1]);
        assert_eq!(broken("sleep", LIB, "#[cfg(test)]\nmod tests {\n    fn a() { thread::sleep(d); }\n}"), [3]);
        assert_eq!(broken("sleep", LIB, sleeper), [0; 0]);
        let paused = "#[tokio::test(start_paused = true)]\nasync fn a() { tokio::time::sleep(d).await; }";
        assert_eq!(broken("sleep", "a/tests/a.rs", paused), [0; 0]);
        assert_eq!(broken("sleep", "a/tests/a.rs", &format!("{paused}\nfn b() {{ thread::sleep(d); }}")), [3]);
    }

    #[test]
    fn lengths() {
        let lines = |n: usize| "// a\n".repeat(n);
        let with_tests =
            |n: usize, tests: usize| format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(n), lines(tests));
        assert_eq!(broken("length", LIB, &lines(400)), [0; 0]);
        assert_eq!(broken("length", LIB, &lines(401)), [1]);
        assert_eq!(broken("length", LIB, &with_tests(400, 497)), [0; 0]);
        assert_eq!(broken("length", LIB, &with_tests(400, 498)), [1]);
        assert_eq!(broken("length", "a/tests/a.rs", &lines(900)), [0; 0]);
        assert_eq!(broken("length", "a/tests/a.rs", &lines(901)), [1]);
        assert_eq!(broken("length", "README.md", &lines(2000)), [0; 0]);
    }

    #[test]
    fn openings() {
        assert_eq!(broken("opening", "a/src/lib.rs", "//! What it is.\n"), [0; 0]);
        assert_eq!(broken("opening", "a/src/lib.rs", "mod a;\n"), [1]);
        assert_eq!(broken("opening", "a/src/bin/b.rs", "fn main() {}\n"), [1]);
        assert_eq!(broken("opening", LIB, "fn a() {}\n"), [0; 0]);
    }

    #[test]
    fn lints_of_the_workspace() {
        let manifest = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(broken("lints", "a/Cargo.toml", manifest), [0; 0]);
        assert_eq!(broken("lints", "a/Cargo.toml", "[package]\nname = \"a\"\n"), [1]);
        assert_eq!(broken("lints", "a/Cargo.toml", "[package]\n[lints]\nrust.unsafe_code = \"allow\"\n"), [1]);
        assert_eq!(broken("lints", "Cargo.toml", "[workspace]\nmembers = []\n"), [0; 0]);
    }

    #[test]
    fn reasons() {
        assert_eq!(broken("reason", LIB, "\n#[allow(clippy::unwrap_used)]\nfn a() {}"), [2]);
        assert_eq!(broken("reason", LIB, "#![allow(missing_docs)]"), [1]);
        assert_eq!(broken("reason", LIB, "#[expect(\n    clippy::unwrap_used,\n    reason = \"it is\"\n)]"), [0; 0]);
        assert_eq!(broken("reason", LIB, "#[expect(a)]\n#[derive(B)]\nstruct C; // reason = none"), [1]);
        assert_eq!(broken("reason", "a/tests/a.rs", "#[allow(dead_code)]"), [0; 0]);
    }

    #[test]
    fn globs() {
        assert_eq!(broken("glob", LIB, "pub use a::*;"), [1]);
        assert_eq!(broken("glob", LIB, "\npub use a::{\n    b::*,\n    C,\n};"), [2]);
        assert_eq!(broken("glob", LIB, "pub use a::{B, C};\nuse d::*;"), [0; 0]);
    }

    #[test]
    fn unfinished_work() {
        let todo = concat!("TO", "DO");
        assert_eq!(broken("unfinished", LIB, &format!("fn a() {{}}\n// {todo}: later")), [2]);
        assert_eq!(broken("unfinished", LIB, &format!("/// {}(us) later", concat!("FIX", "ME"))), [1]);
        assert_eq!(broken("unfinished", LIB, "fn a() { todo!() }"), [1]);
        assert_eq!(broken("unfinished", LIB, "fn a() { unimplemented!(\"b\") }"), [1]);
        assert_eq!(broken("unfinished", LIB, &format!("// {todo}S is a word\nlet a = \"{todo}\";")), [0; 0]);
    }

    #[test]
    fn paths_of_one_machine() {
        let home = concat!("/ho", "me/");
        assert_eq!(broken("machine-path", LIB, &format!("let a = \"{home}me/a\";")), [1]);
        assert_eq!(broken("machine-path", "README.md", &format!("\n\ncd {home}me")), [3]);
        assert_eq!(broken("machine-path", LIB, &format!("// https://example.com{home}a and net{home}")), [0; 0]);
        assert_eq!(broken("machine-path", LIB, "let a = \"/usr/games/teeworlds-server\";"), [0; 0]);
    }
}
