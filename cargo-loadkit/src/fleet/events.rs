//! `bytes -> Heard`: server-sent events, as a fleet tells of a run.

use std::time::Duration;

use loadkit_fleet::api::{LiveFigures, LiveKind};
use loadkit_fleet::{Crew, Note, RunRecord};
use loadkit_http::{HttpError, Streamed};
use serde::de::DeserializeOwned;

/// No event is longer.
const MAX_EVENT: usize = 4 << 20;

/// What was told of a run. Records come without request and notes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// The run has come further.
    State(Box<RunRecord>),
    /// So many workers are where.
    Workers(Crew),
    /// What a second gave.
    Figures(LiveFigures),
    /// Something happened, in words.
    Note(Note),
    /// The run has ended; nothing comes behind it.
    Ended(Box<RunRecord>),
    /// The service cannot go on telling, and says why.
    Fault(String),
    /// Nothing, but somebody is there.
    Alive,
}

/// Events as they come.
#[derive(Debug)]
pub(crate) struct Events {
    from: Streamed,
    lines: Lines,
}

/// What has come and is not told yet.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    /// Of the event that is being read.
    id: Option<u64>,
    kind: String,
    data: String,
}

impl Events {
    pub(crate) fn new(from: Streamed) -> Events {
        Events { from, lines: Lines::default() }
    }

    /// The next event, and its id if it has one; none at the end of the stream. After a silence it can be asked again.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<Option<(Option<u64>, Heard)>, HttpError> {
        loop {
            if let Some(event) = self.lines.next() {
                return Ok(Some(event));
            }
            match self.from.next(silence).await? {
                None => return Ok(None),
                Some(bytes) => self.lines.take(&bytes),
            }
            if self.lines.text.len() + self.lines.data.len() > MAX_EVENT {
                return Err(HttpError::TooLong { from: "the fleet".into(), limit: MAX_EVENT });
            }
        }
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The next event that is whole.
    fn next(&mut self) -> Option<(Option<u64>, Heard)> {
        while let Some(at) = self.text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.text.drain(..=at).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" if line.is_empty() => {
                    let (id, kind, data) =
                        (self.id.take(), std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
                    if !data.is_empty() {
                        return Some((id, heard(&kind, &data)));
                    }
                }
                // A comment: it says that somebody is there.
                "" => return Some((None, Heard::Alive)),
                "id" => self.id = value.parse().ok(),
                "event" => self.kind = value.to_owned(),
                "data" => {
                    if !self.data.is_empty() {
                        self.data.push('\n');
                    }
                    self.data.push_str(value);
                }
                _ => {}
            }
        }
        None
    }
}

/// What an event says. What this version does not know says that somebody is there.
fn heard(kind: &str, data: &str) -> Heard {
    fn read<T: DeserializeOwned>(data: &str, of: impl FnOnce(T) -> Heard) -> Heard {
        serde_json::from_str(data).map_or(Heard::Alive, of)
    }
    let kinds = [LiveKind::State, LiveKind::Workers, LiveKind::Figures, LiveKind::Note, LiveKind::Ended];
    match kinds.into_iter().find(|known| known.name() == kind) {
        Some(LiveKind::State) => read(data, Heard::State),
        Some(LiveKind::Workers) => read(data, Heard::Workers),
        Some(LiveKind::Figures) => read(data, Heard::Figures),
        Some(LiveKind::Note) => read(data, Heard::Note),
        Some(LiveKind::Ended) => read(data, Heard::Ended),
        None if kind == "fault" => Heard::Fault(data.to_owned()),
        None => Heard::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": loadkit\nretry: 2000\n\nid: 7\nevent: workers\ndata: {\"workers\":3,\"claimed\":1,\"playing\":2,\
                    \"ended\":0,\"lost\":0}\n\nid: 9\nevent: note\ndata: {\"at_ms\":1,\"text\":\"ä: b\"}\n\nevent: fault\ndata: away\n\n\
                    event: news\ndata: {}\n\nid: 11\nevent: note\ndata: {\"at";
        let crew = Crew { workers: 3, claimed: 1, playing: 2, ..Crew::default() };
        let wanted = [
            (None, Heard::Alive),
            (Some(7), Heard::Workers(crew)),
            (Some(9), Heard::Note(Note { at_ms: 1, text: "ä: b".into() })),
            (None, Heard::Fault("away".into())),
            (None, Heard::Alive),
        ];
        for size in [1, 2, 7, 4_096] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for part in text.as_bytes().chunks(size) {
                lines.take(part);
                found.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(found, wanted, "by {size}");
        }
    }
}
