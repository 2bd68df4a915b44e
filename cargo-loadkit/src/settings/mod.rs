//! `flags over environment over profile over loadkit.toml over defaults -> Settings`, each value with where it came from.
//!
//! All that commands need to know of a project is resolved here, once, and checked as it is read: a [`Settings`] holds no
//! value that makes no sense by itself.

mod file;
mod key;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loadkit_core::{parse_duration, suggest};

pub use key::{KEYS, Key, Kind, PROFILES};

use crate::exit::Failure;
use file::File;

/// What a project's file is called.
pub const FILE: &str = "loadkit.toml";

/// What the command line says of settings.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// How much: smoke, ci, launch-day, soak, or a profile of loadkit.toml.
    #[arg(long, short = 'p', value_name = "NAME")]
    pub profile: Option<String>,
    /// The file to read instead of the nearest loadkit.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting: --set bots=500. May be given more than once; `cargo loadkit config` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The server under test: HOST:PORT, or with a scheme.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Option<String>,
    /// The plan.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// The URL of the fleet service; without one, a fleet of this machine.
    #[arg(long, value_name = "URL")]
    pub fleet: Option<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// It comes with the profile.
    Profile(String),
    /// A line of the file, and the profile that it stands under.
    File(PathBuf, usize, Option<String>),
    /// A variable of the environment.
    Env(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Profile(name) => write!(f, "profile {name}"),
            Origin::File(path, line, None) => write!(f, "{}:{line}", path.display()),
            Origin::File(path, line, Some(profile)) => write!(f, "{}:{line}, profile {profile}", path.display()),
            Origin::Env(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As it was written; paths of the file as seen from here.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All that was said, resolved and checked.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    file: Option<PathBuf>,
    profile: Option<Setting>,
    values: BTreeMap<&'static str, Setting>,
}

impl Settings {
    /// Resolves what the command line, the environment and the file say.
    ///
    /// # Errors
    /// When a part of it makes no sense: what, and where it stands.
    pub fn resolve(args: &SettingArgs) -> Result<Settings, Failure> {
        let here = env::current_dir().map_err(|error| Failure::missing(format!("no current folder: {error}")))?;
        Settings::resolve_in(args, &here, &|name| env::var(name).ok())
    }

    /// The same, in a folder and with an environment.
    pub(crate) fn resolve_in(
        args: &SettingArgs,
        here: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, Failure> {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        let file = match args.config.clone().or_else(|| said("LOADKIT_CONFIG").map(PathBuf::from)) {
            Some(path) => Some(File::read(&here.join(&path), &path)?),
            None => match here.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()) {
                Some(path) => Some(File::read(&path, path.strip_prefix(here).unwrap_or(&path))?),
                None => None,
            },
        };
        let profile = match (&args.profile, said("LOADKIT_PROFILE")) {
            (Some(name), _) => Some(Setting { value: name.clone(), origin: Origin::Flag("--profile".into()) }),
            (None, Some(name)) => Some(Setting { value: name, origin: Origin::Env("LOADKIT_PROFILE".into()) }),
            (None, None) => file.as_ref().and_then(|file| file.profile.clone()),
        };
        if let Some(profile) = &profile {
            check_profile(profile, file.as_ref())?;
        }
        let mut settings =
            Settings { values: BTreeMap::new(), file: file.as_ref().map(|file| file.path.clone()), profile };
        settings.take_defaults();
        settings.take_file(file.as_ref());
        for key in KEYS {
            if let Some(value) = said(key.env) {
                settings.take(key, value, Origin::Env(key.env.to_owned()))?;
            }
        }
        settings.take_flags(args)?;
        Ok(settings)
    }

    fn take_defaults(&mut self) {
        for key in KEYS {
            if let Some(value) = key.default {
                self.values.insert(key.name, Setting { value: value.to_owned(), origin: Origin::Default });
            }
        }
    }

    /// What the file says for all profiles, what comes with the profile, and what the file says of it.
    fn take_file(&mut self, file: Option<&File>) {
        let profile = self.profile.as_ref().map(|profile| profile.value.clone());
        self.values.extend(file.into_iter().flat_map(|file| file.top.clone()));
        let Some(profile) = profile else { return };
        let own = PROFILES.iter().find(|(name, _)| *name == profile).map_or(&[][..], |(_, values)| values);
        for (name, value) in own {
            let origin = Origin::Profile(profile.clone());
            self.values.insert(name, Setting { value: (*value).to_owned(), origin });
        }
        self.values.extend(
            file.and_then(|file| file.profiles.get(&profile)).into_iter().flatten().map(|(k, v)| (*k, v.clone())),
        );
    }

    fn take_flags(&mut self, args: &SettingArgs) -> Result<(), Failure> {
        for pair in &args.set {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Failure::wrong_use(format!("--set {pair}: write KEY=VALUE")));
            };
            let key = Key::find(name).map_err(|why| Failure::wrong_use(format!("--set {pair}: {why}")))?;
            self.take(key, value.to_owned(), Origin::Flag(format!("--set {name}")))?;
        }
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        for (name, value) in
            [("target", args.target.clone()), ("plan", path(&args.plan)), ("fleet", args.fleet.clone())]
        {
            if let (Some(value), Ok(key)) = (value, Key::find(name)) {
                self.take(key, value, Origin::Flag(format!("--{name}")))?;
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &Key, value: String, origin: Origin) -> Result<(), Failure> {
        let value =
            key.kind.check(&value).map_err(|why| Failure::wrong_use(format!("{origin}: {}: {why}", key.name)))?;
        self.values.insert(key.name, Setting { value, origin });
        Ok(())
    }

    /// The file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The profile.
    pub fn profile(&self) -> Option<&Setting> {
        self.profile.as_ref()
    }

    /// A setting by its name in the file; `None` if nobody said it.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.values.get(name)
    }

    /// A value as a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|setting| setting.value.as_str())
    }

    /// A value as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A value as a whole number.
    pub fn whole(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A value as a time.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        parse_duration(self.text(name)?).ok()
    }
}

fn check_profile(profile: &Setting, file: Option<&File>) -> Result<(), Failure> {
    let own = file.into_iter().flat_map(|file| file.profiles.keys().map(String::as_str));
    let known: Vec<&str> = PROFILES.iter().map(|(name, _)| *name).chain(own).collect();
    if known.contains(&profile.value.as_str()) {
        return Ok(());
    }
    let hint = suggest(&profile.value, known.iter().copied()).map(|name| format!("; did you mean {name:?}?"));
    let (origin, name, hint) = (&profile.origin, &profile.value, hint.unwrap_or_default());
    Err(Failure::wrong_use(format!("{origin}: there is no profile {name:?}; there are {}{hint}", known.join(", "))))
}

#[cfg(test)]
mod tests;
