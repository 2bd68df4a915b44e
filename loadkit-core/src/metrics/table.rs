//! `name -> index`: the names of a recorder, interned once, and what was gathered under each.

use rustc_hash::FxHashMap;

use crate::split::Label;

/// At most so many names of each kind (steps, trends, counts, gauges); what comes after is counted as left out.
pub(super) const MAX_NAMES: usize = 256;
/// At most so many of the names that are left out are told.
pub(super) const MAX_LEFT_OUT: usize = 8;

/// A metric's index in the recorder that gave it out. What is recorded under an id of no metric is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(u32);

impl MetricId {
    /// The id that a full table gives out.
    const NOWHERE: MetricId = MetricId(u32::MAX);
}

/// Names that were asked for lately, a power of two.
const RECENT: usize = 64;

/// What found no place in a full table.
#[derive(Default)]
pub(super) struct LeftOut {
    /// Records under its names.
    pub(super) records: u64,
    /// Some of the names.
    pub(super) names: Vec<String>,
}

impl LeftOut {
    fn add(&mut self, name: &str) {
        self.records += 1;
        if self.names.len() < MAX_LEFT_OUT && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }
}

/// Names and what was gathered under them, bounded.
pub(super) struct Table<T> {
    ids: FxHashMap<Box<str>, u32>,
    rows: Vec<(Box<str>, T)>,
    /// What a name is split into: its id and the label's, and the id of the part.
    parts: FxHashMap<(u32, u64), u32>,
    /// Where the text of a name stood that was asked for, and its id. Bots name their steps by literals, so the place
    /// nearly always gives the id away, at a third of what hashing the text takes; the text is compared all the same.
    recent: [(usize, u32); RECENT],
}

impl<T: Default> Table<T> {
    pub(super) fn new() -> Table<T> {
        Table {
            ids: FxHashMap::default(),
            rows: Vec::new(),
            parts: FxHashMap::default(),
            recent: [(0, u32::MAX); RECENT],
        }
    }

    /// The id of a name, given out on first use; counts in `left_out` when the table is full.
    #[inline]
    pub(super) fn id(&mut self, name: &str, left_out: &mut LeftOut) -> MetricId {
        let place = name.as_ptr() as usize;
        let (known, id) = self.recent[(place ^ (place >> 6)) % RECENT];
        if known == place && self.rows.get(id as usize).is_some_and(|(text, _)| **text == *name) {
            return MetricId(id);
        }
        self.look_up(name, left_out)
    }

    #[cold]
    fn look_up(&mut self, name: &str, left_out: &mut LeftOut) -> MetricId {
        let place = name.as_ptr() as usize;
        let id = match self.ids.get(name) {
            Some(&id) => MetricId(id),
            None => self.intern(name, left_out),
        };
        self.recent[(place ^ (place >> 6)) % RECENT] = (place, id.0);
        id
    }

    fn intern(&mut self, name: &str, left_out: &mut LeftOut) -> MetricId {
        if self.rows.len() >= MAX_NAMES {
            left_out.add(name);
            return MetricId::NOWHERE;
        }
        let id = self.rows.len() as u32;
        self.ids.insert(name.into(), id);
        self.rows.push((name.into(), T::default()));
        MetricId(id)
    }

    /// The id of a metric's part, as `name{label}`.
    pub(super) fn part(&mut self, of: MetricId, label: &Label, left_out: &mut LeftOut) -> MetricId {
        if let Some(&id) = self.parts.get(&(of.0, label.id())) {
            return MetricId(id);
        }
        let Some((name, _)) = self.rows.get(of.0 as usize) else { return MetricId::NOWHERE };
        let name = format!("{name}{{{label}}}");
        let id = match self.ids.get(&*name) {
            Some(&id) => MetricId(id),
            None => self.intern(&name, left_out),
        };
        self.parts.insert((of.0, label.id()), id.0);
        id
    }

    #[inline]
    pub(super) fn get(&mut self, id: MetricId) -> Option<&mut T> {
        self.rows.get_mut(id.0 as usize).map(|(_, row)| row)
    }

    /// The rows with something in them since the last take, emptied.
    pub(super) fn take<D>(&mut self, mut take: impl FnMut(&mut T) -> Option<D>) -> Vec<(String, D)> {
        self.rows.iter_mut().filter_map(|(name, row)| Some((name.to_string(), take(row)?))).collect()
    }
}
