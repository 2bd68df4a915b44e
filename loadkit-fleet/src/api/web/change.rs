//! `what was told, what is -> what has changed`: so that a page that knows the one is told the other in a few bytes.
//!
//! A state is told whole to whoever comes, and then what changes of it. A change says so by its field `changed`:
//!
//! ```text
//! a text, a list of numbers:  [[place, the new ones from there on], …]
//! workers that are odd:       [[worker, why or null], …]
//! other lists:                { gone: [place in the old one, …], more: [[place in the new one, what], …] }
//! ```

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What has changed of a state of this name; none where the whole is told better.
pub(super) fn between(name: &str, before: &Value, now: &Value) -> Option<Value> {
    match name {
        "workers" => workers(before, now),
        "failures" => {
            let of = |list| of_list(before.get(list)?, now.get(list)?);
            Some(json!({ "changed": { "samples": of("samples")?, "flights": of("flights")? } }))
        }
        "markers" => Some(json!({ "changed": of_list(before, now)? })),
        _ => None,
    }
}

fn workers(before: &Value, now: &Value) -> Option<Value> {
    let (was, is) = (before.get("grid")?, now.get("grid")?);
    let cells = |grid: &Value| Some(grid.get("cells")?.as_str()?.chars().collect::<Vec<char>>());
    let (old, new) = (cells(was)?, cells(is)?);
    let cells = runs(&old, &new)?;
    let cells: Vec<Value> = cells.into_iter().map(|(at, new)| json!([at, new.iter().collect::<String>()])).collect();
    let players = |grid: &Value| grid.get("players")?.as_array().cloned();
    let (old, new) = (players(was)?, players(is)?);
    let players: Vec<Value> = runs(&old, &new)?.into_iter().map(|(at, new)| json!([at, new])).collect();
    let odd = odd(was.get("odd")?, is.get("odd")?)?;
    Some(json!({ "crew": now.get("crew"), "changed": { "cells": cells, "players": players, "odd": odd } }))
}

/// Where two rows of the same length differ, and what stands there now.
fn runs<'a, T: PartialEq>(before: &[T], now: &'a [T]) -> Option<Vec<(usize, &'a [T])>> {
    if before.len() != now.len() {
        return None;
    }
    let differs = |at: usize| before.get(at) != now.get(at);
    let mut found = Vec::new();
    let mut at = 0;
    while at < now.len() {
        let from = at;
        while at < now.len() && differs(at) {
            at += 1;
        }
        if from < at {
            found.push((from, now.get(from..at)?));
        }
        at += 1;
    }
    Some(found)
}

fn odd(before: &Value, now: &Value) -> Option<Vec<Value>> {
    let of = |list: &Value| {
        let pairs = list.as_array()?.iter().map(|pair| Some((pair.get(0)?.as_u64()?, pair.get(1)?.clone())));
        pairs.collect::<Option<BTreeMap<u64, Value>>>()
    };
    let (before, now) = (of(before)?, of(now)?);
    let new = now.iter().filter(|(worker, why)| before.get(worker) != Some(why));
    let gone = before.keys().filter(|worker| !now.contains_key(worker));
    Some(new.map(|(worker, why)| json!([worker, why])).chain(gone.map(|worker| json!([worker, null]))).collect())
}

/// What of a list is gone and what is new, if that is all: what stays has not changed places.
fn of_list(before: &Value, now: &Value) -> Option<Value> {
    let (before, now) = (before.as_array()?, now.as_array()?);
    let not_in = |ours: &[Value], theirs: &[Value]| -> Vec<usize> {
        ours.iter().enumerate().filter(|(_, item)| !theirs.contains(item)).map(|(at, _)| at).collect()
    };
    let (gone, more) = (not_in(before, now), not_in(now, before));
    let stay = |items: &[Value], but: &[usize]| -> Vec<Value> {
        let all = items.iter().enumerate().filter(|(at, _)| but.binary_search(at).is_err());
        all.map(|(_, item)| item.clone()).collect()
    };
    let more_items: Vec<Value> = more.iter().map(|at| json!([at, now.get(*at)])).collect();
    (stay(before, &gone) == stay(now, &more)).then(|| json!({ "gone": gone, "more": more_items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_workers_the_few_that_changed_are_told() {
        let of = |cells: &str, players: [u64; 5], odd: Value| json!({ "crew": { "lost": 1 }, "grid": { "cells": cells, "players": players, "odd": odd } });
        let before = of("ppppp", [1, 2, 3, 4, 5], json!([[1, "late"], [3, "silent"]]));
        let now = of("pplwp", [1, 2, 0, 0, 6], json!([[1, "late"], [2, "lost"]]));
        let changed = between("workers", &before, &now).unwrap();
        let (cells, players) = (json!([[2, "lw"]]), json!([[2, [0, 0, 6]]]));
        let odd = json!([[2, "lost"], [3, null]]);
        assert_eq!(
            changed,
            json!({ "crew": { "lost": 1 }, "changed": { "cells": cells, "players": players, "odd": odd } })
        );
        // More workers are another grid.
        let more = json!({ "crew": {}, "grid": { "cells": "pppppp", "players": [1, 2, 3, 4, 5, 6], "odd": [] } });
        assert_eq!(between("workers", &before, &more), None);
    }

    #[test]
    fn of_a_list_what_is_new_has_its_place() {
        let changed = between("markers", &json!(["a", "c", "d"]), &json!(["a", "b", "d", "e"])).unwrap();
        assert_eq!(changed, json!({ "changed": { "gone": [1], "more": [[1, "b"], [3, "e"]] } }));
        assert_eq!(between("markers", &json!(["a", "b"]), &json!(["b", "a"])), None, "it is told whole");
        assert_eq!(between("run", &json!({}), &json!({ "state": "ended" })), None);
    }
}
