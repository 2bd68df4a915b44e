//! `snapshot + difference -> next snapshot`: the world as the server tells it (libtw2, doc/snapshot.md).
//!
//! A snapshot is a set of items, each a key (its type and its id) and a few integers. The server sends it as the
//! difference from one that the client has acknowledged. [`History`] puts the parts together, applies the
//! difference to the right base, checks the sum, and keeps what later differences may refer to.
//!
//! **Only acknowledge what [`History::take`] has given back: the server drops what is older.**

use crate::messages::SnapshotPart;
use crate::varint;
use std::collections::VecDeque;
use std::fmt;

/// Items that a snapshot may have; the server's own limit.
const MAX_ITEMS: usize = 1024;
/// Integers that a snapshot may have; the server's own limit, 64 KiB.
const MAX_INTS: usize = 16 * 1024;
/// Parts that a snapshot may come in: that many full ones exceed [`MAX_INTS`] by far.
const MAX_PARTS: u32 = 64;
/// Bytes of all parts together. A part has at most 900.
const MAX_BYTES: usize = MAX_PARTS as usize * 900;
/// Snapshots that are kept as a base: two thirds of a second. A client further behind asks for a whole one.
const MAX_KEPT: usize = 32;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub u16);

impl Kind {
    /// A tee: tick, x, y, … (22 integers). Its id is its player's client id.
    pub const CHARACTER: Self = Self(10);
    /// A player: flags, score, latency in ms. Its id is the client id.
    pub const PLAYER_INFO: Self = Self(11);
    /// The match.
    pub const GAME_DATA: Self = Self(6);
}

/// How many integers items have whose number is not told with them, by their kind (from 1 on).
///
/// The last, the damage event, has 7: the real server sends so, and the fields in the protocol's description add up to
/// that. The table in libtw2's doc/snapshot.md has 5.
const SIZES: [usize; 22] = [10, 6, 5, 3, 3, 3, 2, 4, 15, 22, 3, 4, 58, 5, 32, 2, 2, 2, 2, 3, 3, 7];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    /// The kind above the id.
    key: u32,
    start: u32,
    len: u32,
}

/// The world at a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By key.
    items: Vec<Item>,
    ints: Vec<i32>,
}

/// Why a snapshot could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// It is a difference from a snapshot that is not kept (any more).
    UnknownBase(i32),
    /// The bytes are no difference, or one that does not fit the base.
    Malformed,
    /// More items, integers or parts than a snapshot may have.
    TooLarge,
    /// The sum is wrong: base or difference is not what the server thinks.
    Checksum,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownBase(tick) => {
                write!(f, "the snapshot builds on tick {tick}, which is not kept")
            }
            Self::Malformed => f.write_str("the snapshot is malformed"),
            Self::TooLarge => f.write_str("the snapshot is larger than the protocol allows"),
            Self::Checksum => f.write_str("the snapshot's checksum is wrong"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl Snapshot {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing in the world.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The integers of one item.
    pub fn item(&self, kind: Kind, id: u16) -> Option<&[i32]> {
        let at = self.find(u32::from(kind.0) << 16 | u32::from(id)).ok()?;
        self.items.get(at).map(|item| self.ints_of(item))
    }

    /// All items of a kind: their ids and integers.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (u16, &[i32])> {
        let first = self.items.partition_point(|item| (item.key >> 16) < u32::from(kind.0));
        let rest = self.items.get(first..).unwrap_or_default().iter();
        rest.take_while(move |item| item.key >> 16 == u32::from(kind.0))
            .map(|item| (item.key as u16, self.ints_of(item)))
    }

    /// The sum of all integers.
    pub fn checksum(&self) -> i32 {
        self.ints.iter().fold(0, |sum, &int| sum.wrapping_add(int))
    }

    fn find(&self, key: u32) -> Result<usize, usize> {
        self.items.binary_search_by_key(&key, |item| item.key)
    }

    fn ints_of(&self, item: &Item) -> &[i32] {
        self.ints.get(item.start as usize..(item.start + item.len) as usize).unwrap_or_default()
    }

    /// This snapshot with a difference applied.
    fn changed(&self, difference: &[u8]) -> Result<Self, SnapshotError> {
        let mut ints = Ints { rest: difference };
        let (removed, changed, _zero) = (ints.count()?, ints.count()?, ints.next()?);
        let mut next = self.without(removed, &mut ints)?;
        let known = next.items.len();
        for _ in 0..changed {
            let (kind, id) = (ints.half()?, ints.half()?);
            let fixed = usize::from(kind).checked_sub(1).and_then(|at| SIZES.get(at)).copied();
            let len = fixed.map_or_else(|| ints.count(), Ok)?;
            next.change(u32::from(kind) << 16 | u32::from(id), len, known, &mut ints)?;
        }
        next.items.sort_unstable_by_key(|item| item.key);
        if next.items.windows(2).any(|pair| pair[0].key == pair[1].key) {
            return Err(SnapshotError::Malformed);
        }
        Ok(next)
    }

    /// A copy that lacks the items whose keys come next.
    fn without(&self, removed: usize, keys: &mut Ints<'_>) -> Result<Self, SnapshotError> {
        if removed == 0 {
            return Ok(self.clone());
        }
        let mut gone = vec![false; self.items.len()];
        for _ in 0..removed {
            // What is not there need not be removed.
            if let Ok(at) = self.find(keys.next()? as u32) {
                gone[at] = true;
            }
        }
        let mut next = Self::default();
        for (item, _) in self.items.iter().zip(gone).filter(|(_, gone)| !gone) {
            next.items.push(Item { start: next.ints.len() as u32, ..*item });
            next.ints.extend_from_slice(self.ints_of(item));
        }
        Ok(next)
    }

    /// Adds the next `len` integers to an item, of the first `known` ones, or makes it of them.
    fn change(&mut self, key: u32, len: usize, known: usize, ints: &mut Ints<'_>) -> Result<(), SnapshotError> {
        let known = self.items.get(..known).unwrap_or_default();
        let Ok(at) = known.binary_search_by_key(&key, |item| item.key) else {
            if self.items.len() == MAX_ITEMS || self.ints.len() + len > MAX_INTS {
                return Err(SnapshotError::TooLarge);
            }
            self.items.push(Item { key, start: self.ints.len() as u32, len: len as u32 });
            for _ in 0..len {
                self.ints.push(ints.next()?);
            }
            return Ok(());
        };
        let item = known[at];
        if item.len as usize != len {
            return Err(SnapshotError::Malformed);
        }
        for int in self.ints.iter_mut().skip(item.start as usize).take(len) {
            *int = int.wrapping_add(ints.next()?);
        }
        Ok(())
    }
}

/// Integers one after the other.
struct Ints<'a> {
    rest: &'a [u8],
}

impl Ints<'_> {
    fn next(&mut self) -> Result<i32, SnapshotError> {
        let (value, len) = varint::decode(self.rest).ok_or(SnapshotError::Malformed)?;
        self.rest = self.rest.get(len..).unwrap_or_default();
        Ok(value)
    }

    /// How many follow: each takes a byte at least, so a number beyond the bytes is a lie.
    fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.next()?).map_err(|_| SnapshotError::Malformed)?;
        if count <= self.rest.len() { Ok(count) } else { Err(SnapshotError::Malformed) }
    }

    fn half(&mut self) -> Result<u16, SnapshotError> {
        u16::try_from(self.next()?).map_err(|_| SnapshotError::Malformed)
    }
}

/// Parts of one snapshot that wait for the others.
#[derive(Debug)]
struct Gathered {
    tick: i32,
    parts: Vec<Option<Vec<u8>>>,
}

/// The snapshots of one connection.
#[derive(Debug, Default)]
pub struct History {
    /// By tick; the newest is last.
    kept: VecDeque<(i32, Snapshot)>,
    gathered: Option<Gathered>,
}

impl History {
    /// Takes in a part. Gives back the tick if that completes a snapshot newer than all before.
    ///
    /// # Errors
    /// The snapshot could not be made; it is forgotten.
    pub fn take(&mut self, part: SnapshotPart) -> Result<Option<i32>, SnapshotError> {
        let SnapshotPart { tick, base, crc, .. } = part;
        if self.newest().is_some_and(|newest| tick <= newest) {
            return Ok(None);
        }
        let Some(difference) = self.gather(part)? else {
            return Ok(None);
        };
        let next = match crc {
            None => self.base(base)?.cloned().unwrap_or_default(),
            Some(crc) => {
                let next = self.base(base)?.unwrap_or(&Snapshot::default()).changed(&difference)?;
                if next.checksum() != crc {
                    return Err(SnapshotError::Checksum);
                }
                next
            }
        };
        // The server has seen the base acknowledged and will not go back behind it.
        while self.kept.front().is_some_and(|&(kept, _)| kept < base) || self.kept.len() == MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((tick, next));
        Ok(Some(tick))
    }

    /// The tick of the newest snapshot.
    pub fn newest(&self) -> Option<i32> {
        self.kept.back().map(|&(tick, _)| tick)
    }

    /// The newest snapshot.
    pub fn world(&self) -> Option<&Snapshot> {
        self.kept.back().map(|(_, snapshot)| snapshot)
    }

    /// The snapshot of a tick; `None` stands for the empty world.
    fn base(&self, tick: i32) -> Result<Option<&Snapshot>, SnapshotError> {
        if tick == -1 {
            return Ok(None);
        }
        match self.kept.binary_search_by_key(&tick, |&(tick, _)| tick) {
            Ok(at) => Ok(self.kept.get(at).map(|(_, snapshot)| snapshot)),
            Err(_) => Err(SnapshotError::UnknownBase(tick)),
        }
    }

    /// The whole difference, if this part is the last one missing.
    fn gather(&mut self, part: SnapshotPart) -> Result<Option<Vec<u8>>, SnapshotError> {
        if part.parts > MAX_PARTS || part.data.len() > MAX_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        if part.parts == 1 && part.part == 0 {
            self.gathered = None;
            return Ok(Some(part.data));
        }
        let parts = part.parts as usize;
        let same = self.gathered.take().filter(|old| old.tick == part.tick && old.parts.len() == parts);
        let gathered = self.gathered.insert(same.unwrap_or(Gathered { tick: part.tick, parts: vec![None; parts] }));
        *gathered.parts.get_mut(part.part as usize).ok_or(SnapshotError::Malformed)? = Some(part.data);
        if gathered.parts.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole: Vec<u8> = gathered.parts.iter().flatten().flatten().copied().collect();
        self.gathered = None;
        if whole.len() <= MAX_BYTES { Ok(Some(whole)) } else { Err(SnapshotError::TooLarge) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<u32, Vec<i32>>;

    fn bytes_of(ints: &[i32]) -> Vec<u8> {
        let mut out = Vec::new();
        ints.iter().for_each(|&int| varint::encode(int, &mut out));
        out
    }

    fn whole(tick: i32, base: i32, crc: Option<i32>, ints: &[i32]) -> SnapshotPart {
        SnapshotPart { tick, base, part: 0, parts: 1, crc, data: bytes_of(ints) }
    }

    fn difference(old: &Model, new: &Model) -> Vec<i32> {
        let removed: Vec<i32> = old.keys().filter(|key| !new.contains_key(key)).map(|&key| key as i32).collect();
        let mut out = vec![removed.len() as i32, new.len() as i32, 0];
        out.extend(removed);
        for (&key, ints) in new {
            out.extend([(key >> 16) as i32, (key & 0xffff) as i32]);
            if SIZES.get((key >> 16) as usize - 1).is_none() {
                out.push(ints.len() as i32);
            }
            let zeros = vec![0; ints.len()];
            let old = old.get(&key).unwrap_or(&zeros);
            out.extend(ints.iter().zip(old).map(|(new, old)| new.wrapping_sub(*old)));
        }
        out
    }

    fn models() -> impl Strategy<Value = Model> {
        let item = (1u32..30, 0u32..4).prop_flat_map(|(kind, id)| {
            let len = SIZES.get(kind as usize - 1).copied().unwrap_or(4);
            (Just(kind << 16 | id), proptest::collection::vec(any::<i32>(), len))
        });
        proptest::collection::btree_map(0u32..40, item, 0..20).prop_map(|items| items.into_values().collect())
    }

    #[test]
    fn a_player_comes_moves_and_goes() {
        let mut history = History::default();
        let came = whole(10, -1, Some(6), &[0, 1, 0, 11, 3, 1, 2, 3]);
        assert_eq!(history.take(came), Ok(Some(10)));
        let moved = whole(12, 10, Some(106), &[0, 1, 0, 11, 3, 0, 100, 0]);
        assert_eq!(history.take(moved), Ok(Some(12)));
        let world = history.world().unwrap();
        assert_eq!(world.item(Kind::PLAYER_INFO, 3), Some(&[1, 102, 3][..]));
        assert_eq!(world.of_kind(Kind::PLAYER_INFO).count(), 1);
        assert_eq!(world.of_kind(Kind::CHARACTER).count(), 0);
        assert_eq!(history.take(whole(14, 12, None, &[])), Ok(Some(14)));
        assert_eq!(history.world().unwrap().len(), 1);
        let gone = whole(16, 14, Some(0), &[1, 0, 0, 11 << 16 | 3]);
        assert_eq!(history.take(gone), Ok(Some(16)));
        assert!(history.world().unwrap().is_empty());
        assert_eq!(history.kept.len(), 2, "what is older than the base is dropped");
    }

    #[test]
    fn late_wrong_and_baseless_snapshots_change_nothing() {
        let mut history = History::default();
        assert_eq!(history.take(whole(10, 4, None, &[])), Err(SnapshotError::UnknownBase(4)));
        assert_eq!(history.take(whole(10, -1, Some(5), &[0, 0, 0])), Err(SnapshotError::Checksum));
        assert_eq!(history.take(whole(10, -1, Some(0), &[0, 0])), Err(SnapshotError::Malformed));
        assert_eq!(history.newest(), None);
        assert_eq!(history.take(whole(10, -1, Some(0), &[0, 0, 0])), Ok(Some(10)));
        assert_eq!(history.take(whole(10, -1, Some(0), &[0, 0, 0])), Ok(None));
        assert_eq!(history.take(whole(8, -1, Some(0), &[0, 0, 0])), Ok(None));
        assert_eq!(history.newest(), Some(10));
    }

    #[test]
    fn keeps_a_bounded_number() {
        let mut history = History::default();
        for tick in 0..1000 {
            assert_eq!(history.take(whole(tick, -1, Some(0), &[0, 0, 0])), Ok(Some(tick)));
            assert!(history.kept.len() <= MAX_KEPT);
        }
    }

    proptest! {
        #[test]
        fn gives_back_the_world_that_was_sent(worlds in proptest::collection::vec(models(), 1..6), cuts in 1u32..5) {
            let mut history = History::default();
            let (mut old, mut base) = (Model::new(), -1);
            for (tick, new) in (1..).zip(&worlds) {
                let data = bytes_of(&difference(&old, new));
                let crc = Some(new.values().flatten().fold(0, |sum: i32, &int| sum.wrapping_add(int)));
                let size = data.len().div_ceil(cuts as usize);
                let parts = data.len().div_ceil(size) as u32;
                for (part, data) in (0..parts).zip(data.chunks(size)).rev() {
                    let part = SnapshotPart { tick, base, part, parts, crc, data: data.to_vec() };
                    let done = part.part == 0;
                    prop_assert_eq!(history.take(part), Ok(done.then_some(tick)));
                }
                let world = history.world().unwrap();
                prop_assert_eq!(world.len(), new.len());
                for (&key, ints) in new {
                    prop_assert_eq!(world.item(Kind((key >> 16) as u16), key as u16), Some(&ints[..]));
                }
                (old, base) = (new.clone(), tick);
            }
        }

        #[test]
        fn any_difference_is_taken(data: Vec<Vec<u8>>, small: Vec<i8>) {
            let mut history = History::default();
            let small = bytes_of(&small.into_iter().map(i32::from).collect::<Vec<_>>());
            for (tick, data) in (1..).zip(data.into_iter().chain([small])) {
                let base = history.newest().unwrap_or(-1);
                let crc = history.base(base).unwrap().unwrap_or(&Snapshot::default()).changed(&data);
                let crc = crc.map_or(Some(0), |next| Some(next.checksum()));
                let _ = history.take(SnapshotPart { tick, base, part: 0, parts: 1, crc, data });
            }
        }
    }
}
