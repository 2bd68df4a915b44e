//! Which build a client is: what a report, a run's record and `info` say of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::format;

/// Which build a client is. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stamp {
    /// The client's name and version.
    #[serde(default)]
    pub client: String,
    /// The build of the game that it belongs to, as the team calls it.
    #[serde(default)]
    pub build: String,
    /// The commit.
    #[serde(default)]
    pub commit: String,
    /// Whether files differed from the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
    /// The fingerprint of what goes over the wire: 16 hexadecimal digits.
    #[serde(default)]
    pub protocol: String,
    /// The version of loadkit.
    #[serde(default)]
    pub loadkit: String,
    /// The target triple.
    #[serde(default)]
    pub target: String,
    /// The profile: `release`, `debug`.
    #[serde(default)]
    pub profile: String,
    /// When it was built, seconds since 1970; 0 if that is not known.
    #[serde(default)]
    pub built_at_unix_s: u64,
}

/// Of a commit so many digits are shown.
const SHOWN: usize = 12;

impl Stamp {
    /// The stamp of a client, from what its `build.rs` has told the compiler: `loadkit_build::Stamp` writes it.
    pub fn new(client: String, told: Option<&str>, protocol: Option<&str>) -> Stamp {
        let mut stamp = Stamp {
            client,
            protocol: protocol.unwrap_or_default().to_owned(),
            loadkit: env!("CARGO_PKG_VERSION").to_owned(),
            ..Stamp::default()
        };
        for (key, value) in told.unwrap_or_default().split(';').filter_map(|pair| pair.split_once('=')) {
            match key {
                "commit" => stamp.commit = value.to_owned(),
                "dirty" => stamp.dirty = Some(value != "0"),
                "build" => stamp.build = value.to_owned(),
                "target" => stamp.target = value.to_owned(),
                "profile" => stamp.profile = value.to_owned(),
                "built" => stamp.built_at_unix_s = value.parse().unwrap_or(0),
                // Of a newer `build.rs`.
                _ => {}
            }
        }
        stamp
    }

    /// What must be the same for all workers of a run, in a line: the client, its build, its commit and its protocol. Two
    /// builds of one commit for two machines are the same.
    pub fn id(&self) -> String {
        let mut id = self.client.clone();
        for (what, value) in [("build", self.build.as_str()), ("commit", self.short_commit())] {
            if !value.is_empty() {
                id.push_str(&format!(", {what} {value}"));
            }
        }
        if self.dirty == Some(true) {
            id.push_str(" with changes");
        }
        if !self.protocol.is_empty() {
            id.push_str(&format!(", protocol {}", self.protocol));
        }
        id
    }

    fn short_commit(&self) -> &str {
        self.commit.get(..SHOWN).unwrap_or(&self.commit)
    }

    /// All that is known, a name and a value each.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let dirty = if self.dirty == Some(true) { " with changes" } else { "" };
        let commit = if self.commit.is_empty() { String::new() } else { format!("{}{dirty}", self.commit) };
        let profile = if self.profile.is_empty() { String::new() } else { format!(", {}", self.profile) };
        let built = if self.built_at_unix_s == 0 { String::new() } else { format::moment(self.built_at_unix_s) };
        let target = if self.target.is_empty() { String::new() } else { format!("{}{profile}", self.target) };
        let lines = [
            ("client", self.client.clone()),
            ("build", self.build.clone()),
            ("commit", commit),
            ("protocol", self.protocol.clone()),
            ("loadkit", self.loadkit.clone()),
            ("target", target),
            ("built", built),
        ];
        lines.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|(name, value)| writeln!(f, "{name:<10} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_and_the_rest_is_empty() {
        let told = "built=1700000000;commit=0123456789abcdef0123;dirty=1;build=2.31.0;target=x86_64-unknown-linux-musl;\
                    profile=release;new=thing";
        let stamp = Stamp::new("arena 1.2.0".into(), Some(told), Some("1a2b3c4d5e6f7081"));
        assert_eq!(
            stamp.id(),
            "arena 1.2.0, build 2.31.0, commit 0123456789ab with changes, protocol 1a2b3c4d5e6f7081"
        );
        let text = stamp.to_string();
        assert!(text.contains("commit     0123456789abcdef0123 with changes\n"), "{text}");
        assert!(text.contains("built      2023-11-14 22:13") && text.contains("linux-musl, release"), "{text}");
        let bare = Stamp::new("arena 1.2.0".into(), None, None);
        assert_eq!((bare.id().as_str(), bare.lines().len()), ("arena 1.2.0", 2));
    }
}
