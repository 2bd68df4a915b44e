//! What can be set, and what each value must be.

use loadkit_core::gate::parse_share;
use loadkit_core::{parse_duration, suggest};

/// Something that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in `loadkit.toml`.
    pub name: &'static str,
    /// Its variable.
    pub env: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub default: Option<&'static str>,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or a folder; in the file it is seen from there.
    Path,
    /// A whole number of at least one.
    Whole,
    /// A time: `90s`, `1h30m`.
    Time,
    /// A part of something: `5%`, `0.05`.
    Share,
    /// A URL of HTTP.
    Url,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Words with commas between, of these.
    Words(&'static [&'static str]),
    /// What opens doors: not in files, and never shown.
    Secret,
}

const fn key(
    name: &'static str,
    env: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    about: &'static str,
) -> Key {
    Key { name, env, about, kind, default }
}

/// All that can be set, in the order in which it is shown.
pub const KEYS: &[Key] = &[
    key("package", "LOADKIT_PACKAGE", Kind::Text, None, "the load client's crate"),
    key("build", "LOADKIT_BUILD", Kind::Text, None, "the build of the server under test"),
    key("target", "LOADKIT_TARGET", Kind::Text, None, "the server under test; else the plan's"),
    key("plan", "LOADKIT_PLAN", Kind::Path, None, "the plan"),
    key("scenario", "LOADKIT_SCENARIO", Kind::Text, None, "what is played; else the client's first"),
    key("bots", "LOADKIT_BOTS", Kind::Whole, None, "players; else the plan's"),
    key("ramp", "LOADKIT_RAMP", Kind::Time, None, "until all are connected; else the plan's"),
    key("duration", "LOADKIT_DURATION", Kind::Time, None, "how long; else the plan's"),
    key("report", "LOADKIT_REPORT", Kind::Path, Some("report"), "where the report goes"),
    key("baseline", "LOADKIT_BASELINE", Kind::Path, None, "the report of the build before"),
    key("fleet", "LOADKIT_FLEET", Kind::Url, None, "the fleet service; else one of this machine"),
    key("token", "LOADKIT_TOKEN", Kind::Secret, None, "what opens the fleet service; else AWS credentials"),
    key(
        "auth",
        "LOADKIT_AUTH",
        Kind::Word(&["auto", "token", "aws", "none"]),
        Some("auto"),
        "what is shown to the fleet; auto: a token if there is one, and AWS credentials to an API Gateway",
    ),
    key(
        "client",
        "LOADKIT_CLIENT",
        Kind::Path,
        None,
        "a load client that is built already, for `ci` and for a fleet of this machine; else it is built",
    ),
    key(
        "data",
        "LOADKIT_DATA",
        Kind::Path,
        Some("target/loadkit/fleet"),
        "where a fleet of this machine keeps its runs",
    ),
    key("policy", "LOADKIT_POLICY", Kind::Path, None, "its guard-rails; else private networks only"),
    key("region", "AWS_REGION", Kind::Text, None, "the region of the fleet"),
    key("registry-user", "LOADKIT_REGISTRY_USER", Kind::Text, None, "who pushes to a registry that is not ECR"),
    key(
        "registry-password",
        "LOADKIT_REGISTRY_PASSWORD",
        Kind::Secret,
        None,
        "and the password, or a token in its place",
    ),
    key(
        "runner",
        "LOADKIT_RUNNER",
        Kind::Word(&["auto", "local", "lambda", "fargate"]),
        Some("auto"),
        "where workers run",
    ),
    key("workers", "LOADKIT_WORKERS", Kind::Whole, None, "how many; else as many as is usual there"),
    key(
        "homes",
        "LOADKIT_HOMES",
        Kind::Words(&["worker", "lambda", "fargate"]),
        Some("lambda,fargate"),
        "what the client is packaged for",
    ),
    key(
        "triple",
        "LOADKIT_TRIPLE",
        Kind::Text,
        None,
        "the target that it is packaged for; else a static one of this machine",
    ),
    key(
        "cargo-profile",
        "LOADKIT_CARGO_PROFILE",
        Kind::Text,
        Some("release"),
        "cargo's profile for the client of `ci`",
    ),
    key(
        "server",
        "LOADKIT_SERVER",
        Kind::Text,
        None,
        "the command of the server under test; {port} in it is a free one",
    ),
    key(
        "base-server",
        "LOADKIT_BASE_SERVER",
        Kind::Text,
        None,
        "the command of the build before, to play at both at once",
    ),
    key("base-target", "LOADKIT_BASE_TARGET", Kind::Text, None, "where the build before listens"),
    key(
        "ready",
        "LOADKIT_READY",
        Kind::Text,
        Some("port"),
        "what says that a server is ready: port, line TEXT, command COMMAND",
    ),
    key("ready-within", "LOADKIT_READY_WITHIN", Kind::Time, Some("1m"), "a server is ready by then"),
    key("stop-within", "LOADKIT_STOP_WITHIN", Kind::Time, Some("10s"), "a server that was asked to end is killed then"),
    key("attempts", "LOADKIT_ATTEMPTS", Kind::Whole, Some("2"), "runs at most, where the load generator was sick"),
    key(
        "longer",
        "LOADKIT_LONGER",
        Kind::Time,
        Some("5m"),
        "where the gate has too little data, both builds are played once more, longer by as much at most; 0s for never",
    ),
    key("min-effect", "LOADKIT_MIN_EFFECT", Kind::Share, None, "smaller changes do not matter; else the gate's 3%"),
    key("min-time", "LOADKIT_MIN_TIME", Kind::Time, None, "neither do those of a time by less; else the gate's 100us"),
    key("detect", "LOADKIT_DETECT", Kind::Share, None, "a change as large must not stay unseen; else the gate's 10%"),
    key(
        "detect-errors",
        "LOADKIT_DETECT_ERRORS",
        Kind::Share,
        None,
        "a difference of shares of failures as large must not stay unseen; else the gate's 1%",
    ),
];

/// What comes with each profile.
pub const PROFILES: &[(&str, &[(&str, &str)])] = &[
    ("smoke", &[("bots", "10"), ("ramp", "2s"), ("duration", "20s"), ("runner", "local")]),
    ("ci", &[("bots", "200"), ("ramp", "20s"), ("duration", "3m")]),
    ("launch-day", &[("bots", "100000"), ("ramp", "15m"), ("duration", "1h")]),
    ("soak", &[("bots", "1000"), ("ramp", "5m"), ("duration", "24h")]),
];

impl Key {
    /// The key of this name.
    ///
    /// # Errors
    /// That there is none, with the nearest.
    pub fn find(name: &str) -> Result<&'static Key, String> {
        KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
            let names = || KEYS.iter().map(|key| key.name);
            match suggest(name, names()) {
                Some(near) => format!("there is no setting {name:?}; did you mean {near:?}?"),
                None => format!("there is no setting {name:?}; there are {}", names().collect::<Vec<_>>().join(", ")),
            }
        })
    }
}

impl Kind {
    /// The value, if it is one.
    ///
    /// # Errors
    /// In words: what would be one.
    pub fn check(self, value: &str) -> Result<String, String> {
        let value = value.trim();
        let is = |fine: bool, wanted: &str| match fine {
            true => Ok(value.to_owned()),
            false => Err(format!("{value:?} is none; write {wanted}")),
        };
        match self {
            Kind::Text | Kind::Path | Kind::Secret => is(!value.is_empty(), "something, or leave it out"),
            Kind::Whole => {
                let plain: String = value.chars().filter(|c| *c != '_').collect();
                if plain.parse::<u64>().is_ok_and(|number| number > 0) {
                    return Ok(plain);
                }
                is(false, "a whole number of at least 1")
            }
            Kind::Time => parse_duration(value).map(|_| value.to_owned()).map_err(|error| error.to_string()),
            Kind::Share => is(parse_share(value).is_ok(), "a part between 0 and 1, or a percentage: 5%"),
            Kind::Url => {
                is(["http://", "https://"].iter().any(|scheme| value.starts_with(scheme)), "http://… or https://…")
            }
            Kind::Word(words) => is(words.contains(&value), &words.join(", ")),
            Kind::Words(words) => {
                let all: Vec<&str> = value.split(',').map(str::trim).collect();
                if all.iter().all(|word| words.contains(word)) {
                    return Ok(all.join(","));
                }
                is(false, &format!("some of {}, with commas between", words.join(", ")))
            }
        }
    }
}
