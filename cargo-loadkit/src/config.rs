//! `cargo loadkit config`: all settings, and where each came from.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::settings::{KEYS, Kind, SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit config
  cargo loadkit config --profile launch-day --set bots=250_000
  LOADKIT_TARGET=game.test:4000 cargo loadkit config --json

What goes first: flags, then variables of the environment (LOADKIT_BOTS), then the profile (what loadkit.toml says of
it, then what comes with it), then the rest of loadkit.toml, then defaults.

Exit codes:
  0  printed
  2  a setting makes no sense";

/// The arguments of `config`.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// A setting as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    value: Option<String>,
    from: Option<String>,
    about: &'static str,
    env: &'static str,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Printed {
    file: Option<String>,
    profile: Option<String>,
    settings: std::collections::BTreeMap<&'static str, Row>,
}

/// Prints the settings.
///
/// # Errors
/// When one of them makes no sense.
pub fn run(args: &ConfigArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let row = |name: &str, kind: Kind| {
        let setting = settings.get(name);
        let shown = |value: &String| if kind == Kind::Secret { "(set)".to_owned() } else { value.clone() };
        (setting.map(|setting| shown(&setting.value)), setting.map(|setting| setting.origin.to_string()))
    };
    let rows: Vec<_> = KEYS.iter().map(|key| (key, row(key.name, key.kind))).collect();
    let printed = Printed {
        file: settings.file().map(|file| file.display().to_string()),
        profile: settings.profile().map(|profile| profile.value.clone()),
        settings: rows
            .iter()
            .map(|(key, (value, from))| {
                (key.name, Row { value: value.clone(), from: from.clone(), about: key.about, env: key.env })
            })
            .collect(),
    };
    let mut lines = vec![
        ["file".to_owned(), printed.file.clone().unwrap_or("–".into()), "the nearest loadkit.toml".into()],
        [
            "profile".to_owned(),
            printed.profile.clone().unwrap_or("–".into()),
            settings.profile().map_or("none; --profile NAME names one".into(), |profile| profile.origin.to_string()),
        ],
    ];
    for (key, (value, from)) in rows {
        let from = from.unwrap_or_else(|| format!("not set: {}", key.about));
        lines.push([key.name.to_owned(), value.unwrap_or("–".into()), from]);
    }
    output.result("loadkit.config/1", &printed, table(&lines))?;
    Ok(Exit::Done)
}

/// Three columns.
fn table(lines: &[[String; 3]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    lines.iter().map(|[a, b, c]| format!("{a:first$}  {b:second$}  {c}\n")).collect()
}
