//! The workspace around a new crate: cargo builds no crate inside of one that is not a member.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Value, value};

use super::files::relative;
use crate::exit::Failure;

/// Makes the crate a member of the workspace that its folder is in, if it is in one. The workspace's manifest, if it was
/// changed.
pub(super) fn join(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    for above in folder.ancestors().skip(1) {
        let manifest = above.join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let Ok(mut document) = text.parse::<DocumentMut>() else { continue };
        let Some(workspace) = document.get_mut("workspace") else { continue };
        let member = relative(above, folder);
        if is_named(workspace.get("members"), &member) || is_named(workspace.get("exclude"), &member) {
            return Ok(None);
        }
        let members =
            workspace.as_table_like_mut().map(|table| table.entry("members").or_insert_with(|| value(Array::new())));
        let Some(members) = members.and_then(Item::as_array_mut) else { return Ok(None) };
        push(members, &member);
        fs::write(&manifest, document.to_string()).map_err(|error| {
            Failure::missing(format!("{} cannot be written: {error}", manifest.display()))
                .mended_by(format!("add {member:?} to the members of the workspace"))
        })?;
        return Ok(Some(manifest));
    }
    Ok(None)
}

/// On a line of its own where the one before it is.
fn push(members: &mut Array, member: &str) {
    let before =
        members.iter().last().map(|last| last.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or(""));
    let prefix = match before.map(|before| before.rsplit_once('\n')) {
        Some(Some((_, indent))) => format!("\n{indent}"),
        Some(None) => " ".to_owned(),
        None => String::new(),
    };
    members.push_formatted(Value::from(member).decorated(prefix, ""));
}

/// Whether a list names a folder, by itself or by a pattern of folders.
fn is_named(list: Option<&Item>, folder: &str) -> bool {
    let names = list.and_then(Item::as_array).into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| name.trim_end_matches('/')).any(|name| match name.strip_suffix("/*") {
        Some(parent) => {
            folder.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| !rest.contains('/'))
        }
        None => name == folder || name == "*" && !folder.contains('/'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_takes_it_in_once() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("Cargo.toml");
        let before =
            "[workspace]\nmembers = [\n    \"server\",  # ours\n    \"tools/*\",\n]\n\n[profile.dev]\ndebug = 1\n";
        fs::write(&manifest, before).unwrap();
        assert_eq!(join(&folder.path().join("bots")).unwrap(), Some(manifest.clone()));
        let after = fs::read_to_string(&manifest).unwrap();
        assert!(after.contains("    \"tools/*\",\n    \"bots\",\n]") && after.contains("# ours"), "{after}");
        assert_eq!(join(&folder.path().join("bots")).unwrap(), None);
        assert_eq!(join(&folder.path().join("tools/bots")).unwrap(), None, "a pattern names it");
        fs::write(&manifest, "[package]\nname = \"x\"\n\n[workspace]\n").unwrap();
        assert!(join(&folder.path().join("bots")).unwrap().is_some());
        assert!(fs::read_to_string(&manifest).unwrap().contains("[workspace]\nmembers = [\"bots\"]"));
    }
}
