//! Markers: what happened elsewhere while a run played, on its time axis, in the words of whoever posted it.

use loadkit_core::RunId;
use loadkit_worker::{Expect, StoreError, get_json, keys, put_json};
use serde::{Deserialize, Serialize};

use crate::error::FleetError;
use crate::fleet::Fleet;

/// The item of a run's markers.
const MARKERS: &str = "markers";
/// A run has at most so many.
const MAX_MARKERS: usize = 200;
/// None is longer, bytes.
const MAX_TEXT: usize = 200;
/// How often it is tried anew when somebody else was faster.
const TRIES: usize = 20;

/// Something that happened elsewhere while a run played.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Marker {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// What.
    pub text: String,
    /// Who said so.
    pub by: String,
}

impl Fleet {
    /// A run's markers, in the order of their times.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn markers(&self, run: RunId) -> Result<Vec<Marker>, FleetError> {
        let markers = get_json::<Vec<Marker>>(&*self.store, &keys::of_run(run, MARKERS)).await?;
        Ok(markers.map(|(markers, _)| markers).unwrap_or_default())
    }

    /// Notes on a run's time axis what happened elsewhere; now, if no time is given. The same twice is there once.
    ///
    /// # Errors
    /// [`FleetError::Request`] if there is no room for it, and see there.
    pub async fn mark(&self, run: RunId, at_ms: Option<u64>, text: &str, by: &str) -> Result<Marker, FleetError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT {
            let long = text.len();
            return Err(FleetError::Request(format!(
                "a marker has 1 to {MAX_TEXT} bytes of text, and this one {long}"
            )));
        }
        self.show(run).await?;
        let at_ms = at_ms.unwrap_or_else(|| self.clock.now_ms());
        let marker = Marker { at_ms, text: text.to_owned(), by: by.to_owned() };
        let key = keys::of_run(run, MARKERS);
        for _ in 0..TRIES {
            let there = get_json::<Vec<Marker>>(&*self.store, &key).await?;
            let expect = there.as_ref().map_or(Expect::Absent, |(_, version)| Expect::Version(*version));
            let mut markers = there.map(|(markers, _)| markers).unwrap_or_default();
            let Err(place) = markers.binary_search(&marker) else { return Ok(marker) };
            if markers.len() >= MAX_MARKERS {
                return Err(FleetError::Request(format!("run {run} has {MAX_MARKERS} markers, and no run has more")));
            }
            markers.insert(place, marker.clone());
            match put_json(&*self.store, key.clone(), &markers, expect).await {
                Ok(_) => return Ok(marker),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FleetError::Store(StoreError::Conflict(None)))
    }
}
