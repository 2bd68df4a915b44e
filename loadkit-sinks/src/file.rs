//! Lines into a file or to standard output, without ever holding up the thread that writes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sink::SinkError;

/// A file of lines, or standard output.
#[derive(Debug)]
pub(crate) struct Lines {
    place: Place,
    /// The last write broke off: there may be half a line.
    torn: bool,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf, Arc<File>),
    Stdout,
}

impl Lines {
    /// Begins a file anew, or takes standard output for `-`.
    pub(crate) fn open(path: &Path) -> Result<Lines, SinkError> {
        let place =
            if path == Path::new("-") { Place::Stdout } else { Place::File(path.to_owned(), Arc::new(create(path)?)) };
        Ok(Lines { place, torn: false })
    }

    /// Where they go.
    pub(crate) fn place(&self) -> String {
        match &self.place {
            Place::File(path, _) => path.display().to_string(),
            Place::Stdout => "standard output".into(),
        }
    }

    /// Writes whole lines. A write that hangs holds up nobody but this file.
    pub(crate) async fn write(&mut self, mut lines: Vec<u8>) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.torn, true) {
            // So that a reader loses the half line, and not the next one with it.
            lines.insert(0, b'\n');
        }
        let place = self.place.clone();
        let written = tokio::task::spawn_blocking(move || match place {
            Place::File(_, file) => (&*file).write_all(&lines),
            Place::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&lines).and_then(|()| out.flush())
            }
        });
        let written = written.await.map_err(io::Error::other).and_then(|written| written);
        self.torn = written.is_err();
        written.map_err(|error| SinkError::new(format!("{} cannot be written: {error}", self.place())))
    }
}

fn create(path: &Path) -> Result<File, SinkError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    if is_pipe(path) {
        // To open it for writing alone would wait until somebody reads.
        options.read(true);
    } else {
        options.truncate(true);
    }
    options.open(path).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "make its directory first",
            io::ErrorKind::IsADirectory => "it is a directory; name a file in it",
            _ => "write it elsewhere",
        };
        SinkError::new(format!("{} cannot be written: {error}; {advice}", path.display()))
    })
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_said_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let says = |path: &Path| Lines::open(path).unwrap_err().to_string();
        let missing = says(&dir.path().join("no/such"));
        assert!(missing.contains("no/such cannot be written") && missing.contains("make its directory"), "{missing}");
        assert!(says(dir.path()).contains("name a file in it"));
    }

    #[tokio::test]
    async fn a_file_is_begun_anew_and_a_half_line_stays_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, "old").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        lines.write(b"one\n".to_vec()).await.unwrap();
        lines.torn = true;
        lines.write(b"two\n".to_vec()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n\ntwo\n");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_an_error() {
        let mut lines = Lines::open(Path::new("/dev/full")).unwrap();
        let error = lines.write(b"one\n".to_vec()).await.unwrap_err().to_string();
        assert!(error.contains("/dev/full cannot be written") && error.contains("No space left"), "{error}");
        assert!(lines.torn);
    }
}
