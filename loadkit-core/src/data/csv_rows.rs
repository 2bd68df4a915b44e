//! Rows of comma-separated values (RFC 4180): quoted fields may hold commas, quotes and line breaks.

use std::borrow::Cow;

use csv::{Error, ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::error::{DataError, Place};
use super::{MAX_ROW, Row};

/// The names of the columns.
pub(super) type Names = Box<[Box<str>]>;

fn reader(text: &str) -> Reader<&[u8]> {
    // Fields are counted here, for a message that says what to do.
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes())
}

/// Where the rows of a file begin and the last one ends, and the names of the columns.
pub(super) fn index(file: &str, text: &str) -> Result<(Vec<u32>, Names), DataError> {
    let mut reader = reader(text);
    let mut record = StringRecord::new();
    let mut offsets = Vec::new();
    let mut names: Option<Names> = None;
    loop {
        let start = reader.position().byte();
        let found = reader.read_record(&mut record).map_err(|error| refuse(file, text, start, &error))?;
        if !found {
            break;
        }
        let end = reader.position().byte();
        // Blank lines before a row are skipped with it.
        let blank =
            text.as_bytes().iter().skip(start as usize).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let place = || Place::new(file, text.as_bytes(), start as usize + blank);
        if end.saturating_sub(start) > MAX_ROW as u64 {
            let help = "shorten it, or close a quote that is left open";
            return Err(place().refuse("the row is longer than 64 KiB", help));
        }
        match &names {
            None => names = Some(header(&record, &place())?),
            Some(names) => {
                if record.len() != names.len() {
                    let why = format!("the row has {} fields, but there are {} columns", record.len(), names.len());
                    return Err(place().refuse(why, "give it a field for each column, and quote fields with commas"));
                }
                // The file is at most 1 GiB.
                offsets.push(start as u32);
            }
        }
    }
    let Some(names) = names else {
        return Err(
            Place::line(file, 1).refuse("the file is empty", "write the names of the columns in its first line")
        );
    };
    offsets.push(text.len() as u32);
    Ok((offsets, names))
}

fn header(record: &StringRecord, place: &Place<'_>) -> Result<Names, DataError> {
    let names: Vec<Box<str>> = record.iter().map(|name| name.trim().into()).collect();
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(place.refuse(format!("column {} has no name", i + 1), "name all columns in the first line"));
        }
        if names.iter().take(i).any(|other| other == name) {
            return Err(place.refuse(format!("two columns are called `{name}`"), "rename one of them"));
        }
    }
    Ok(names.into())
}

/// The text is UTF-8 and in memory, so little is left that can be wrong.
fn refuse(file: &str, text: &str, start: u64, error: &Error) -> DataError {
    let at = match error.kind() {
        ErrorKind::Utf8 { pos: Some(pos), .. } => pos.byte(),
        _ => start,
    };
    Place::new(file, text.as_bytes(), at as usize).refuse(error.to_string(), "mend the row")
}

/// The row that a text holds.
pub(super) fn row<'t>(text: &'t str, names: &'t [Box<str>]) -> Option<Row<'t>> {
    let names = names.iter().map(|name| Cow::Borrowed(&**name));
    if !text.contains('"') {
        // Without quotes, a row is what stands between line breaks and commas, and nothing need be copied.
        let values = text.trim_matches(['\r', '\n']).split(',').map(Cow::Borrowed);
        return Some(Row { fields: names.zip(values).collect() });
    }
    // A buffer as large as the row: the usual 8 KiB would cost more than the parsing.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(text.len().clamp(1, 8192))
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    if !reader.read_record(&mut record).ok()? {
        return None;
    }
    let values = record.iter().map(|value| Cow::Owned(value.to_owned()));
    Some(Row { fields: names.zip(values).collect() })
}
