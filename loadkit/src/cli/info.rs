//! `info`: which build this is, and where it can run.

use serde_json::json;

use super::args::InfoArgs;
use super::outcome::UseError;
use super::{Client, say};

/// The homes that it was built for, beside the shell.
const HOMES: [(&str, bool); 3] = [
    ("worker", cfg!(feature = "worker")),
    ("lambda", cfg!(feature = "lambda")),
    ("fargate", cfg!(feature = "fargate")),
];

impl Client {
    /// Prints the stamp, the homes and the scenarios.
    pub(super) fn info(&self, args: &InfoArgs) -> Result<u8, UseError> {
        let stamp = self.stamped();
        let homes: Vec<&str> = HOMES.iter().filter(|(_, is_there)| *is_there).map(|(home, _)| *home).collect();
        let scenarios: Vec<_> = self.scenarios.iter().map(|scenario| scenario.name()).collect();
        let text = if args.json {
            let info = json!({
                "schema": "loadkit.info/1",
                "id": stamp.id(),
                "stamp": stamp,
                "homes": homes,
                "scenarios": scenarios,
            });
            format!("{info:#}\n")
        } else {
            let homes = [&["shell"], &homes[..]].concat().join(", ");
            format!("{stamp}{:<10} {homes}\n{:<10} {}\n", "runs as", "plays", scenarios.join(", "))
        };
        say::result(text).map_err(|error| UseError::unprinted(&error))?;
        Ok(0)
    }
}
