//! `texts of a queue -> parcels in the store`: a collector that keeps nothing and opens nothing.
//!
//! A parcel's key is its place in the store, so what is delivered twice lies where it lay.

use loadkit_core::RunId;
use loadkit_worker::{Item, Key, Parcel, ParcelError, Store, StoreError, keys, put_json};
use serde::{Deserialize, Serialize};

/// Parcels are kept so long: two days.
const KEPT_S: u64 = 2 * 86_400;
/// So much of a bad message is kept.
const MAX_SHOWN: usize = 300;

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Collected {
    /// How many parcels were stored.
    pub stored: usize,
    /// Those that are no parcels, by their place in the batch.
    pub poison: Vec<(usize, ParcelError)>,
}

/// A message that was no parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poison {
    /// When it came, ms since 1970.
    pub at_ms: u64,
    /// What is wrong with it.
    pub why: String,
    /// Its beginning.
    pub begins: String,
}

/// The partition of bad messages of a run, or of none.
pub(crate) fn poison_part(run: Option<RunId>) -> String {
    run.map_or_else(|| "poison".to_owned(), |run| format!("poison/{run}"))
}

/// Stores a batch of texts. Those that are no parcels are told of, and noted.
///
/// # Errors
/// If the store does not take them: then none is done, and all are to be delivered again.
pub async fn collect(store: &dyn Store, texts: &[&str], now_ms: u64) -> Result<Collected, StoreError> {
    let mut collected = Collected::default();
    let mut items = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        match Parcel::parse(text) {
            Ok(parcel) => {
                let key = keys::parcel(&parcel);
                items.push(Item::new(key, parcel.bytes).expiring(now_ms / 1_000 + KEPT_S));
            }
            Err(error) => collected.poison.push((place, error)),
        }
    }
    collected.stored = items.len();
    // In one batch an item may stand once: queues deliver twice, also into the same batch.
    items.sort_by(|a, b| a.key.cmp(&b.key));
    items.dedup_by(|a, b| a.key == b.key);
    if !items.is_empty() {
        store.put_all(items).await?;
    }
    for (place, error) in &collected.poison {
        let text = texts.get(*place).copied().unwrap_or_default();
        note_poison(store, text, error, now_ms).await?;
    }
    Ok(collected)
}

/// Notes a bad message where its run is looked at, if it says which that is.
async fn note_poison(store: &dyn Store, text: &str, error: &ParcelError, now_ms: u64) -> Result<(), StoreError> {
    let run = text.split('.').nth(1).and_then(|run| u64::from_str_radix(run, 16).ok()).map(RunId);
    let begins: String = text.chars().take(MAX_SHOWN).collect();
    let poison = Poison { at_ms: now_ms, why: error.to_string(), begins };
    // The same message is delivered several times before it is set aside: it has one place.
    let place = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let key = Key::new(poison_part(run), format!("{place:016x}"));
    put_json(store, key, &poison, loadkit_worker::Expect::Any).await.map(drop)
}
