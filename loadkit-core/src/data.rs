//! `Table`: rows of accounts or other data, one for each seat, from a file of CSV or JSON lines.
//!
//! **A file is loaded once for all shards, and kept as it is.** A table is the text of the file and four bytes a row that
//! say where each begins; a row is parsed when it is asked for. Everything is checked on loading, so that no row fails
//! in the middle of a run.

mod csv_rows;
mod error;
mod json_rows;
mod row;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

pub use error::DataError;
pub use row::Row;

use error::Place;

/// The largest file: 1 GiB. Offsets of rows fit 32 bits.
const MAX_BYTES: u64 = 1 << 30;

/// The longest row, in bytes.
const MAX_ROW: usize = 64 << 10;

/// Rows of text by name, such as accounts.
#[derive(Debug)]
pub struct Table {
    name: String,
    text: Box<str>,
    /// Where each row begins, and where the last one ends.
    offsets: Box<[u32]>,
    format: Format,
}

/// How the rows are written.
#[derive(Debug)]
enum Format {
    /// Comma-separated values (RFC 4180) under a row of names.
    Csv(csv_rows::Names),
    /// One JSON object a line.
    Json,
}

/// Whether the name of a file says that it holds rows of a kind that can be read.
pub(crate) fn is_supported(path: &Path) -> bool {
    is_csv(path).is_some()
}

fn is_csv(path: &Path) -> Option<bool> {
    let extension = path.extension()?.to_str()?;
    match extension.to_ascii_lowercase().as_str() {
        "csv" => Some(true),
        "jsonl" | "ndjson" => Some(false),
        _ => None,
    }
}

impl Table {
    /// Reads a file of rows: `.csv` with a row of names at the top, or `.jsonl` (also `.ndjson`) with one object a line.
    ///
    /// It costs the size of the file and four bytes a row, at most 1 GiB and 64 KiB a row.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or a row of it cannot be parsed, with the line and what to do.
    pub fn load(path: impl AsRef<Path>) -> Result<Arc<Table>, DataError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let read = |source| DataError::Read { file: name.clone(), source: Arc::new(source) };
        let mut file = File::open(path).map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        if size > MAX_BYTES {
            return Err(DataError::TooLarge { file: name });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // The file may grow while it is read, or not be a regular one.
        (&mut file).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        Table::parse(name, bytes).map(Arc::new)
    }

    /// Reads rows from memory; `name` stands for the file in errors, and its extension says how they are written.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub fn parse(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<Table, DataError> {
        let (name, bytes) = (name.into(), bytes.into());
        let Some(csv) = is_csv(name.as_ref()) else {
            return Err(DataError::Kind { file: name });
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(DataError::TooLarge { file: name });
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text.into_boxed_str(),
            Err(error) => {
                let place = Place::new(&name, error.as_bytes(), error.utf8_error().valid_up_to());
                return Err(place.refuse("the text is not UTF-8", "save the file as UTF-8"));
            }
        };
        let (offsets, format) = if csv {
            let (offsets, names) = csv_rows::index(&name, &text)?;
            (offsets, Format::Csv(names))
        } else {
            (json_rows::index(&name, &text)?, Format::Json)
        };
        Ok(Table { name, text, offsets: offsets.into_boxed_slice(), format })
    }

    /// The file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `n`, from 0; none if there are fewer. It is parsed anew each time.
    pub fn row(&self, n: usize) -> Option<Row<'_>> {
        let start = *self.offsets.get(n)? as usize;
        let end = *self.offsets.get(n + 1)? as usize;
        let text = self.text.get(start..end)?;
        match &self.format {
            Format::Csv(names) => csv_rows::row(text, names),
            Format::Json => json_rows::row(text),
        }
    }

    /// Checks that there is a row for each of `rows` seats. `what` says of what they are rows: "accounts".
    ///
    /// # Errors
    /// If there are fewer.
    pub fn require(&self, rows: u64, what: &str) -> Result<(), DataError> {
        if self.len() as u64 >= rows {
            return Ok(());
        }
        let (file, what) = (self.name.clone(), what.to_owned());
        Err(DataError::TooFew { file, rows: self.len() as u64, wanted: rows, what })
    }
}

#[cfg(test)]
mod tests;
