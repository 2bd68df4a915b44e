//! `loadkit.toml -> values with their lines`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Key, Kind, Origin, Setting};
use crate::exit::Failure;

/// More is no file of settings.
const MAX_BYTES: u64 = 1 << 20;

/// What the file says.
#[derive(Debug)]
pub(super) struct File {
    /// As it is shown.
    pub(super) path: PathBuf,
    pub(super) profile: Option<Setting>,
    /// For all profiles.
    pub(super) top: BTreeMap<&'static str, Setting>,
    pub(super) profiles: BTreeMap<String, BTreeMap<&'static str, Setting>>,
}

type Entry<'t> = (&'t Spanned<std::borrow::Cow<'t, str>>, &'t Spanned<DeValue<'t>>);

impl File {
    /// Reads the file at `path`, which is shown as `shown`.
    pub(super) fn read(path: &Path, shown: &Path) -> Result<File, Failure> {
        let unread =
            |why: &dyn std::fmt::Display| Failure::wrong_use(format!("{} cannot be read: {why}", shown.display()));
        if std::fs::metadata(path).map_err(|error| unread(&error))?.len() > MAX_BYTES {
            return Err(unread(&"it has more than a MiB"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unread(&error))?;
        File::parse(&text, shown)
    }

    pub(super) fn parse(text: &str, shown: &Path) -> Result<File, Failure> {
        let reader = Reader { text, shown };
        let (table, errors) = DeTable::parse_recoverable(text);
        if let Some(error) = errors.first() {
            return Err(reader.wrong(error.span().map_or(0, |span| span.start), error.message()));
        }
        let mut file = File { path: shown.to_owned(), profile: None, top: BTreeMap::new(), profiles: BTreeMap::new() };
        for (key, value) in table.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("profile", _) => file.profile = Some(reader.plain((key, value), None)?),
                ("profiles", DeValue::Table(profiles)) => {
                    for (name, value) in profiles {
                        let DeValue::Table(table) = value.get_ref() else {
                            return Err(reader.wrong(name.span().start, "a profile is a table: write [profiles.NAME]"));
                        };
                        let profile = name.get_ref().to_string();
                        let values = table.iter().map(|entry| reader.setting(entry, Some(&profile)));
                        let values = values.collect::<Result<_, _>>()?;
                        file.profiles.insert(profile, values);
                    }
                }
                ("profiles", _) => {
                    return Err(reader.wrong(key.span().start, "profiles are tables: write [profiles.NAME]"));
                }
                _ => {
                    let (key, setting) = reader.setting((key, value), None)?;
                    file.top.insert(key, setting);
                }
            }
        }
        Ok(file)
    }
}

struct Reader<'a> {
    text: &'a str,
    shown: &'a Path,
}

impl Reader<'_> {
    fn setting(&self, entry: Entry<'_>, profile: Option<&str>) -> Result<(&'static str, Setting), Failure> {
        let at = entry.0.span().start;
        let key = Key::find(entry.0.get_ref()).map_err(|why| self.wrong(at, &why))?;
        if key.kind == Kind::Secret {
            let what = format!("{} does not belong into a file that others read; set {}", key.name, key.env);
            return Err(self.wrong(at, &what));
        }
        let plain = self.plain(entry, profile)?;
        let value = key.kind.check(&plain.value).map_err(|why| self.wrong(at, &format!("{}: {why}", key.name)))?;
        let folder = self.shown.parent().unwrap_or(Path::new(""));
        let value = match key.kind {
            Kind::Path => folder.join(value).display().to_string(),
            _ => value,
        };
        Ok((key.name, Setting { value, ..plain }))
    }

    /// A text, a number, or a list of texts.
    fn plain(&self, (key, value): Entry<'_>, profile: Option<&str>) -> Result<Setting, Failure> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Array(list) => {
                let texts: Option<Vec<&str>> = list.iter().map(|one| one.get_ref().as_str()).collect();
                texts.ok_or_else(|| self.wrong(value.span().start, "a list holds texts only"))?.join(",")
            }
            _ => return Err(self.wrong(value.span().start, &format!("{} is a text or a number", key.get_ref()))),
        };
        let origin = Origin::File(self.shown.to_owned(), self.line(key.span().start), profile.map(str::to_owned));
        Ok(Setting { value: text, origin })
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn wrong(&self, at: usize, what: &str) -> Failure {
        Failure::wrong_use(format!("{}:{}: {what}", self.shown.display(), self.line(at)))
    }
}
