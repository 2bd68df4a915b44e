//! `a folder -> the plans in it`: what a service offers to whoever launches by its pages.
//!
//! **It is read anew whenever somebody asks**, in bounds: so many files, so long each. A plan that is broken is told as broken,
//! with the reason, and does not keep the others away. Nobody names a path: a plan is found by its file's name among those that
//! are there.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use loadkit_core::{Plan, format, format_duration};

/// A folder is offered up to so many plans of, the first by their names.
const MAX_FILES: usize = 100;
/// So many entries of a folder are looked at for them.
const MAX_ENTRIES: usize = 10_000;
/// No plan of a folder is longer: all of them are read whenever a form is opened.
const MAX_BYTES: u64 = 256 << 10;

/// A folder with plans, `*.toml`.
#[derive(Clone, Debug)]
pub struct PlanFolder {
    path: PathBuf,
}

/// Plans that can be launched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plans {
    /// By their names.
    pub files: Vec<PlanFile>,
    /// Files beyond those that are offered.
    pub left_out: u64,
    /// Why there may be others.
    pub trouble: Option<String>,
}

/// A plan of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// The file's name, `evening.toml`. It is whatever somebody called it.
    pub name: String,
    /// The plan, or why it is none.
    pub plan: Result<Planned, String>,
}

/// A plan that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// As it stands in the file.
    pub text: String,
    /// What it is, in a line: `arena, 50 players, 10m`.
    pub what: String,
}

impl PlanFolder {
    /// This folder.
    ///
    /// # Errors
    /// In words, if it is none or cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<PlanFolder, String> {
        let path = path.into();
        match fs::read_dir(&path) {
            Ok(_) => Ok(PlanFolder { path }),
            Err(error) => {
                Err(format!("{}: {error}: give the folder in which the plans are, as *.toml", path.display()))
            }
        }
    }

    /// The plans that are there now.
    pub fn read(&self) -> Plans {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                let trouble = Some(format!("the folder of plans cannot be read: {error}"));
                return Plans { trouble, ..Plans::default() };
            }
        };
        let mut looked_at = 0;
        let mut paths: Vec<PathBuf> = entries
            .take(MAX_ENTRIES)
            .inspect(|_| looked_at += 1)
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "toml"))
            // Files in Kubernetes' config maps are links.
            .filter(|path| fs::metadata(path).is_ok_and(|about| about.is_file()))
            .collect();
        paths.sort();
        let left_out = paths.len().saturating_sub(MAX_FILES) as u64;
        let files = paths.iter().take(MAX_FILES).map(|path| of_file(path)).collect();
        let trouble = (looked_at >= MAX_ENTRIES)
            .then(|| format!("the folder of plans has {MAX_ENTRIES} files or more: not all were looked at"));
        Plans { files, left_out, trouble }
    }
}

fn of_file(path: &Path) -> PlanFile {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plan = text(path).and_then(|text| match Plan::parse(&text, &name) {
        Ok(plan) => Ok(Planned { what: what(&plan), text }),
        Err(error) => Err(error.to_string()),
    });
    PlanFile { name, plan }
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(format!("it cannot be read: {error}"));
    }
    if bytes.len() as u64 > MAX_BYTES {
        let most = MAX_BYTES >> 10;
        return Err(format!("it is larger than {most} KiB: move rows of data to a file that the plan names"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text: save it as UTF-8".to_owned())
}

/// What a plan is, in a line.
fn what(plan: &Plan) -> String {
    let players = crate::most_players(plan);
    let parts = [
        plan.scenario().map(|name| format::name(name, 60)),
        Some(format::counted(players, "player", "players")),
        Some(format_duration(plan.duration())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PlanFolder) {
        let place = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(place.path().join(name), bytes).unwrap();
        }
        let folder = PlanFolder::open(place.path()).unwrap();
        (place, folder)
    }

    #[test]
    fn plans_are_read_when_they_are_asked_for() {
        let good = "scenario = \"arena\"\nbots = 50\nduration = \"10m\"\n";
        let (place, folder) = folder(&[("b.toml", good.as_bytes()), ("notes.md", b"x"), ("a.toml", good.as_bytes())]);
        let names = |plans: &Plans| plans.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        let plans = folder.read();
        assert_eq!(names(&plans), ["a.toml", "b.toml"]);
        let plan = plans.files[0].plan.as_ref().unwrap();
        assert_eq!((plan.text.as_str(), plan.what.as_str()), (good, "arena, 50 players, 10m"));
        fs::write(place.path().join("c.toml"), good).unwrap();
        assert_eq!(names(&folder.read()), ["a.toml", "b.toml", "c.toml"]);
        drop(place);
        assert!(folder.read().trouble.unwrap().contains("cannot be read"));
    }

    #[test]
    fn broken_plans_are_told_with_their_reasons() {
        let large = vec![b'#'; (256 << 10) + 1];
        let (place, folder) = folder(&[
            ("large.toml", &large),
            ("latin.toml", b"# \xe9\n"),
            ("wrong.toml", b"bots = 5\ndurration = \"1m\"\n"),
            ("<img src=x>.toml", b"bots = 5\nduration = \"1m\"\n"),
        ]);
        fs::create_dir(place.path().join("folder.toml")).unwrap();
        let plans = folder.read();
        let said: Vec<&str> =
            plans.files.iter().map(|file| file.plan.as_ref().map_or_else(String::as_str, |_| "")).collect();
        assert_eq!(plans.files[0].name, "<img src=x>.toml");
        assert_eq!(said.len(), 4, "{said:?}");
        for (said, part) in said.iter().zip(["", "larger than 256 KiB", "not UTF-8", "durration"]) {
            assert!(said.contains(part), "{said}");
        }
        let wrong = PlanFolder::open(place.path().join("none")).unwrap_err();
        assert!(wrong.contains("give the folder"), "{wrong}");
    }

    #[test]
    fn a_folder_that_is_full_is_offered_in_part() {
        let (place, folder) = folder(&[]);
        for i in 0..MAX_FILES + 3 {
            fs::write(place.path().join(format!("{i:03}.toml")), "bots = 1\nduration = \"1s\"\n").unwrap();
        }
        let plans = folder.read();
        assert_eq!((plans.files.len(), plans.left_out), (MAX_FILES, 3));
    }
}
