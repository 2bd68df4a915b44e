//! `contract::check(store)`: what every [`Store`] does, as a suite of tests that panics where one does not.
//!
//! For tests alone: the feature `contract` is on nowhere else.

#![expect(clippy::unwrap_used, reason = "it is a test: one that cannot go on fails")]

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::store::{Expect, Item, Key, MAX_BODY, Store, StoreError, blob};

/// How far a store is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of a body.
    pub longest: usize,
    /// So many write at once.
    pub racers: usize,
}

impl Extent {
    /// As far as any store must go.
    pub const WHOLE: Extent = Extent { longest: MAX_BODY, racers: 50 };
}

/// Checks a store. All that it leaves there is in partitions whose names begin with `name`.
///
/// # Panics
/// When the store does not keep to the contract.
pub async fn check(store: Arc<dyn Store>, name: &str) {
    check_within(store, name, Extent::WHOLE).await;
}

/// The same within these bounds, for an emulator that is less than what it emulates.
///
/// # Panics
/// When the store does not keep to the contract.
pub async fn check_within(store: Arc<dyn Store>, name: &str, extent: Extent) {
    let suite = Suite { store, name: name.to_owned(), extent };
    suite.versions().await;
    suite.ends().await;
    suite.bodies().await;
    suite.keys().await;
    suite.many().await;
    suite.pages().await;
    suite.edges_of_pages().await;
    suite.long_pages().await;
    suite.forgotten().await;
    suite.one_is_first().await;
    suite.one_changes().await;
    suite.all_write().await;
    suite.nothing_is_lost().await;
    suite.blobs().await;
}

struct Suite {
    store: Arc<dyn Store>,
    name: String,
    extent: Extent,
}

fn conflict(result: Result<u64, StoreError>) -> Option<Item> {
    match result {
        Err(StoreError::Conflict(there)) => there.map(|there| *there),
        other => unreachable!("a conflict, not {other:?}"),
    }
}

impl Suite {
    fn part(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    fn key(&self, part: &str, sort: &str) -> Key {
        Key::new(self.part(part), sort)
    }

    /// The sort keys of all pages of this length.
    async fn sorts(&self, part: &str, prefix: &str, limit: usize) -> Vec<String> {
        let (mut sorts, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.list(&self.part(part), prefix, after.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit, "a page has {} items of at most {limit}", page.items.len());
            assert!(page.items.iter().all(|item| item.key.part == self.part(part)));
            sorts.extend(page.items.into_iter().map(|item| item.key.sort));
            after = match page.more {
                Some(more) => Some(more),
                None => return sorts,
            };
        }
    }

    async fn versions(&self) {
        let (store, key) = (&self.store, self.key("versions", "a"));
        assert_eq!(store.get(&key).await, Ok(None));
        assert_eq!(conflict(store.put(Item::new(key.clone(), "0"), Expect::Version(1)).await), None);
        assert_eq!(store.put(Item::new(key.clone(), "1"), Expect::Absent).await, Ok(1));
        let first = Item { version: 1, ..Item::new(key.clone(), "1") };
        assert_eq!(store.get(&key).await, Ok(Some(first.clone())));
        assert_eq!(conflict(store.put(Item::new(key.clone(), "0"), Expect::Absent).await), Some(first.clone()));
        assert_eq!(conflict(store.put(Item::new(key.clone(), "0"), Expect::Version(2)).await), Some(first));
        assert_eq!(store.put(Item::new(key.clone(), "2"), Expect::Version(1)).await, Ok(2));
        assert_eq!(store.put(Item::new(key.clone(), "3"), Expect::Any).await, Ok(3));
        let third = Item { version: 3, ..Item::new(key.clone(), "3") };
        assert_eq!(store.get(&key).await, Ok(Some(third.clone())));
        assert_eq!(conflict(store.put(Item::new(key.clone(), "0"), Expect::Version(2)).await), Some(third));
        let other = Item::new(self.key("versions", "b"), "1");
        assert_eq!(store.put(other, Expect::Any).await, Ok(1));
    }

    async fn ends(&self) {
        let (store, key) = (&self.store, self.key("ends", "a"));
        let item = |ends: Option<u64>| Item { expires_s: ends, ..Item::new(key.clone(), "x") };
        // Far away: until then no store forgets them.
        let (soon, late) = (Some(4_102_444_800), Some(4_102_444_801));
        for (version, (ends, expect)) in (1..).zip([
            (soon, Expect::Absent),
            (late, Expect::Version(1)),
            (None, Expect::Version(2)),
            (soon, Expect::Any),
            (None, Expect::Any),
            (late, Expect::Any),
        ]) {
            assert_eq!(store.put(item(ends), expect).await, Ok(version));
            assert_eq!(store.get(&key).await.unwrap().unwrap().expires_s, ends);
        }
        store.put_all(vec![item(soon)]).await.unwrap();
        let page = store.list(&key.part, "", None, 10).await.unwrap();
        assert_eq!(page.items, [Item { version: 1, ..item(soon) }]);
    }

    async fn bodies(&self) {
        let store = &self.store;
        let all: Vec<u8> = (0..=255).collect();
        for (sort, body) in [("empty", Vec::new()), ("all", all), ("longest", vec![7; self.extent.longest])] {
            let key = self.key("bodies", sort);
            store.put(Item::new(key.clone(), body.clone()), Expect::Absent).await.unwrap();
            assert_eq!(store.get(&key).await.unwrap().unwrap().body, body, "{sort}");
            store.put(Item::new(key.clone(), body.clone()), Expect::Any).await.unwrap();
            store.put_all(vec![Item::new(key.clone(), body.clone())]).await.unwrap();
            assert_eq!(store.get(&key).await.unwrap().unwrap().body, body, "{sort}");
        }
        let key = self.key("bodies", "too long");
        let long = Item::new(key.clone(), vec![7; MAX_BODY + 1]);
        let refused = StoreError::TooLarge { key: key.clone(), bytes: MAX_BODY + 1 };
        for expect in [Expect::Any, Expect::Absent, Expect::Version(1)] {
            assert_eq!(store.put(long.clone(), expect).await, Err(refused.clone()));
        }
        let short = Item::new(self.key("bodies", "short"), "x");
        assert_eq!(store.put_all(vec![short.clone(), long]).await, Err(refused));
        assert_eq!((store.get(&key).await, store.get(&short.key).await), (Ok(None), Ok(None)));
    }

    async fn keys(&self) {
        let store = &self.store;
        let longest = "k".repeat(1_024);
        for sort in ["a/b:c~d#e", "\u{e4}\u{1f3ae} \u{6f22}", "\"quoted\"\\", longest.as_str()] {
            let key = self.key("keys \u{e9}", sort);
            store.put(Item::new(key.clone(), sort), Expect::Absent).await.unwrap();
            assert_eq!(store.get(&key).await.unwrap().unwrap().body, sort.as_bytes());
        }
        let too_long = format!("{longest}k");
        for (part, sort) in [("", "a"), ("a", ""), ("a", too_long.as_str())] {
            let bad = Item::new(Key::new(part, sort), "x");
            for result in [store.put(bad.clone(), Expect::Any).await, store.put_all(vec![bad]).await.map(|()| 0)] {
                assert!(matches!(result, Err(StoreError::Malformed { .. })), "{result:?}");
            }
        }
    }

    async fn many(&self) {
        let store = &self.store;
        let item = |i: usize, body: &str| Item::new(self.key("many", &format!("{i:03}")), body);
        store.put_all(Vec::new()).await.unwrap();
        store.put(item(5, "old"), Expect::Any).await.unwrap();
        store.put(item(5, "old"), Expect::Any).await.unwrap();
        let mut items: Vec<Item> = (0..120).map(|i| item(i, "new")).collect();
        items.insert(0, item(7, "overtaken"));
        store.put_all(items).await.unwrap();
        let page = store.list(&self.part("many"), "", None, 200).await.unwrap();
        let expected: Vec<Item> = (0..120).map(|i| Item { version: 1, ..item(i, "new") }).collect();
        assert_eq!(page.items, expected);
        assert_eq!(store.put(item(5, "newer"), Expect::Version(1)).await, Ok(2));
    }

    async fn pages(&self) {
        let items = |part: &'static str, sorts: &[&str]| -> Vec<Item> {
            sorts.iter().map(|sort| Item::new(self.key(part, sort), *sort)).collect()
        };
        let sorted = ["a", "a/1", "a/10", "a/2", "a0", "b", "z", "\u{e4}/1", "\u{e4}/2", "\u{6f22}", "\u{1f3ae}"];
        self.store.put_all(items("pages", &sorted)).await.unwrap();
        self.store.put_all(items("pages2", &["a/3", "\u{e4}/3"])).await.unwrap();
        for limit in [1, 2, 3, 10, 11, 12, 1_000] {
            assert_eq!(self.sorts("pages", "", limit).await, sorted, "by {limit}");
            assert_eq!(self.sorts("pages", "a/", limit).await, ["a/1", "a/10", "a/2"], "by {limit}");
            assert_eq!(self.sorts("pages", "\u{e4}/", limit).await, ["\u{e4}/1", "\u{e4}/2"], "by {limit}");
        }
        assert_eq!(self.sorts("pages", "c", 3).await, [""; 0]);
        assert_eq!(self.sorts("nowhere", "", 3).await, [""; 0]);
    }

    async fn edges_of_pages(&self) {
        let part = self.part("pages");
        let list = async |prefix: &str, after: &str, limit: usize| -> Vec<String> {
            let page = self.store.list(&part, prefix, Some(after), limit).await.unwrap();
            page.items.into_iter().map(|item| item.key.sort).collect()
        };
        assert_eq!(list("", "a/1", 2).await, ["a/10", "a/2"]);
        assert_eq!(list("a/", "a/11", 9).await, ["a/2"], "behind what is not there");
        assert_eq!(list("a/", "a", 9).await, ["a/1", "a/10", "a/2"], "behind what is before the prefix");
        assert_eq!(list("a/", "b", 9).await, [""; 0], "behind what is behind the prefix");
        assert_eq!(list("a/", "a/2", 9).await, [""; 0], "behind the last");
        assert_eq!(list("", "a", 0).await, [""; 0], "none");
    }

    async fn long_pages(&self) {
        let body = |i: u8| vec![i; self.extent.longest - 1_000];
        let items = (0..8).map(|i| Item::new(self.key("long", &i.to_string()), body(i))).collect();
        self.store.put_all(items).await.unwrap();
        let (mut bodies, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&self.part("long"), "", after.as_deref(), 100).await.unwrap();
            bodies.extend(page.items.into_iter().map(|item| item.body));
            after = page.more;
            if after.is_none() {
                break;
            }
        }
        assert!(bodies == (0..8).map(body).collect::<Vec<_>>(), "{} of 8 long bodies", bodies.len());
    }

    async fn forgotten(&self) {
        let store = &self.store;
        let keys: Vec<Key> = (0..60).map(|i| self.key("forgotten", &format!("{i:02}"))).collect();
        store.put_all(keys.iter().map(|key| Item::new(key.clone(), "x")).collect()).await.unwrap();
        store.delete_all(Vec::new()).await.unwrap();
        let mut most: Vec<Key> = keys.iter().skip(1).cloned().collect();
        most.extend([keys[1].clone(), self.key("forgotten", "never there"), self.key("never", "there")]);
        store.delete_all(most).await.unwrap();
        assert_eq!(self.sorts("forgotten", "", 100).await, ["00"]);
        assert_eq!(store.put(Item::new(keys[1].clone(), "y"), Expect::Absent).await, Ok(1));
    }

    /// Each of many changes the same item at once.
    async fn race(&self, key: &Key, expect: Expect) -> Vec<(String, Result<u64, StoreError>)> {
        let mut racers = JoinSet::new();
        for i in 0..self.extent.racers {
            let (store, item) = (self.store.clone(), Item::new(key.clone(), i.to_string()));
            racers.spawn(async move { (i.to_string(), store.put(item, expect).await) });
        }
        racers.join_all().await
    }

    async fn only_one(&self, key: &Key, expect: Expect, version: u64) {
        let done = self.race(key, expect).await;
        let winners: Vec<&String> =
            done.iter().filter(|(_, done)| *done == Ok(version)).map(|(body, _)| body).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let there = Item { version, ..Item::new(key.clone(), winners[0].as_str()) };
        assert_eq!(self.store.get(key).await, Ok(Some(there.clone())));
        for (body, done) in &done {
            if body != winners[0] {
                assert_eq!(conflict(done.clone()), Some(there.clone()));
            }
        }
    }

    async fn one_is_first(&self) {
        self.only_one(&self.key("race", "first"), Expect::Absent, 1).await;
    }

    async fn one_changes(&self) {
        let key = self.key("race", "change");
        self.store.put(Item::new(key.clone(), "begin"), Expect::Absent).await.unwrap();
        self.only_one(&key, Expect::Version(1), 2).await;
    }

    async fn all_write(&self) {
        let key = self.key("race", "all");
        let mut versions: Vec<u64> =
            self.race(&key, Expect::Any).await.into_iter().map(|(_, done)| done.unwrap()).collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=self.extent.racers as u64).collect::<Vec<_>>());
    }

    async fn nothing_is_lost(&self) {
        let key = self.key("race", "count");
        self.store.put(Item::new(key.clone(), "0"), Expect::Absent).await.unwrap();
        let mut counters = JoinSet::new();
        let (counts, count) = (5, self.extent.racers.min(8));
        for _ in 0..count {
            let (store, key) = (self.store.clone(), key.clone());
            counters.spawn(async move {
                for _ in 0..counts {
                    let mut there = store.get(&key).await.unwrap().unwrap();
                    loop {
                        let count: u32 = String::from_utf8(there.body).unwrap().parse().unwrap();
                        let more = Item::new(key.clone(), (count + 1).to_string());
                        match store.put(more, Expect::Version(there.version)).await {
                            Ok(_) => break,
                            Err(StoreError::Conflict(Some(now))) => there = *now,
                            other => unreachable!("{other:?}"),
                        }
                    }
                }
            });
        }
        counters.join_all().await;
        let there = self.store.get(&key).await.unwrap().unwrap();
        let sum = counts * count;
        assert_eq!((there.version, there.body), (sum as u64 + 1, sum.to_string().into_bytes()));
    }

    async fn blobs(&self) {
        let (store, key) = (&*self.store, self.key("blobs", "a"));
        assert_eq!(blob::get(store, &key).await, Ok(None));
        let long: Vec<u8> = (0..1_200_000_u32).map(|i| (i % 251) as u8).collect();
        for bytes in [&long[..], b"", &long[..MAX_BODY], &long[..MAX_BODY + 1]] {
            blob::put(store, &key, bytes, None).await.unwrap();
            assert!(blob::get(store, &key).await.unwrap().as_deref() == Some(bytes), "a blob of {}", bytes.len());
        }
        let mut parts = Vec::new();
        for part in 0..7 {
            parts.push(self.sorts(&format!("blobs/a~{part:04}"), "", 100).await.len());
        }
        assert_eq!(parts, [1, 1, 0, 0, 0, 0, 0], "the parts of the last one, a partition each");
        // As they lay before: all in the partition of the head.
        let old = self.key("blobs", "old");
        let head = r#"{"tag":3,"parts":2,"bytes":5}"#;
        let parts = [("old~0000000000000003~0000", "abc"), ("old~0000000000000003~0001", "de"), ("old", head)];
        store.put_all(parts.map(|(sort, body)| Item::new(self.key("blobs", sort), body)).into()).await.unwrap();
        assert_eq!(blob::get(store, &old).await.unwrap().as_deref(), Some(&b"abcde"[..]));
        blob::put(store, &old, b"new", None).await.unwrap();
        assert_eq!(blob::get(store, &old).await.unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(self.sorts("blobs", "old", 100).await, ["old"], "its parts are forgotten");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn memory_keeps_to_it() {
        check(Arc::new(MemoryStore::new()), "a").await;
    }
}
