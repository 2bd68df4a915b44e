//! Rows of JSON lines: one object a line; blank lines are skipped.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::error::{DataError, Place};
use super::{MAX_ROW, Row};

/// Where the rows of a file begin and the last one ends.
pub(super) fn index(file: &str, text: &str) -> Result<Vec<u32>, DataError> {
    let mut offsets = Vec::new();
    let mut start = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let place = Place::line(file, i as u64 + 1);
        if line.len() > MAX_ROW {
            return Err(place.refuse("the line is longer than 64 KiB", "write one object a line, and shorten it"));
        }
        if !blank(line) {
            if let Err(error) = serde_json::from_str::<Map<String, Value>>(unmarked(line)) {
                // The parser counts lines within this one.
                let why = error.to_string().replace(" at line 1 column", " at column");
                return Err(place.refuse(why, "write one object a line, such as {\"name\": \"ada\"}"));
            }
            // The file is at most 1 GiB.
            offsets.push(start as u32);
        }
        start += line.len();
    }
    offsets.push(start as u32);
    Ok(offsets)
}

fn blank(line: &str) -> bool {
    unmarked(line).trim().is_empty()
}

/// A line without the byte order mark that some editors put at the start of a file.
fn unmarked(line: &str) -> &str {
    line.strip_prefix('\u{feff}').unwrap_or(line)
}

/// The row that begins a text; blank lines may follow it.
pub(super) fn row(text: &str) -> Option<Row<'_>> {
    let line = text.split('\n').next()?;
    let object: Map<String, Value> = serde_json::from_str(unmarked(line)).ok()?;
    let mut fields = Vec::with_capacity(object.len());
    for (name, value) in object {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        fields.push((Cow::Owned(name), Cow::Owned(text)));
    }
    Some(Row { fields })
}
