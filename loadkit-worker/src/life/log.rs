//! A worker's log: a line of JSON for each turn of its life, a few of them in all.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::job::Job;

/// At most so many lines in a life.
const MAX_LINES: u32 = 100;
/// No word of a line is longer, bytes.
const MAX_WORDS: usize = 2_000;

/// Where the lines go.
type Write = dyn Fn(&str) + Send + Sync;

/// Writes the lines. A clone goes on counting anew.
#[derive(Default)]
pub struct Log {
    write: Option<Arc<Write>>,
    lines: AtomicU32,
}

impl Log {
    /// Nowhere.
    pub fn silent() -> Log {
        Log::default()
    }

    /// To standard error.
    pub fn stderr() -> Log {
        Log::to(|line| {
            // Nobody listens any more: no reason to stop.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        })
    }

    /// To whoever takes them.
    pub fn to(write: impl Fn(&str) + Send + Sync + 'static) -> Log {
        Log { write: Some(Arc::new(write)), lines: AtomicU32::new(0) }
    }

    /// Writes a line: what happened to whom, and more words on it.
    pub fn say(&self, job: Option<&Job>, event: &str, words: &str) {
        let Some(write) = &self.write else { return };
        if self.lines.fetch_add(1, Ordering::Relaxed) >= MAX_LINES {
            return;
        }
        let mut line = json!({ "loadkit": event });
        if let (Some(job), Some(line)) = (job, line.as_object_mut()) {
            line.insert("run".into(), json!(job.run.to_string()));
            line.insert("worker".into(), json!(job.worker));
            line.insert("attempt".into(), json!(job.attempt));
        }
        if let (false, Some(line)) = (words.is_empty(), line.as_object_mut()) {
            line.insert("words".into(), json!(cut(words, MAX_WORDS)));
        }
        write(&line.to_string());
    }
}

impl Clone for Log {
    fn clone(&self) -> Log {
        Log { write: self.write.clone(), lines: AtomicU32::new(0) }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// The first so many bytes of a text, or a few fewer.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_life_has_few_lines_and_short_ones() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let log = Log::to(move |line| kept.lock().unwrap().push(line.to_owned()));
        (0..1_000).for_each(|_| log.say(None, "error", &"ä".repeat(5_000)));
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), MAX_LINES as usize);
        assert!(lines.iter().all(|line| line.len() < MAX_WORDS + 100 && line.starts_with("{\"loadkit\":\"error\"")));
    }
}
