//! `(order, status) -> refusal?`: a run is played by one build, that of the worker that claims first.
//!
//! **The first claim writes the stamp, and nobody changes it.** Whoever loses the race to be first is judged by what is there.
//! Figures of several builds added up are figures of none, and a deployment in the middle of a run would go unseen.

use loadkit_core::{RunId, Stamp};

use crate::lease::{WorkerStatus, keys};
use crate::order::Order;
use crate::store::{Expect, Store, StoreError, get_json, put_json};

/// The build that a run is played by: none as long as nobody has claimed.
///
/// # Errors
/// See [`StoreError`].
pub async fn build_of(store: &dyn Store, run: RunId) -> Result<Option<Stamp>, StoreError> {
    Ok(get_json::<Stamp>(store, &keys::stamp(run)).await?.map(|(stamp, _)| stamp))
}

/// Why a worker of this build does not play this run, in words, if so.
pub(crate) async fn refusal(
    store: &dyn Store,
    order: &Order,
    status: &WorkerStatus,
) -> Result<Option<String>, StoreError> {
    // Who is not whom the run asks for will say so by itself, and is no measure for those who are.
    if order.mixed_builds || !is_asked_for(&order.client, status) {
        return Ok(None);
    }
    let own = stamp(status);
    let first = match build_of(store, order.run).await? {
        Some(first) => first,
        None => match put_json(store, keys::stamp(order.run), &own, Expect::Absent).await {
            Ok(_) => return Ok(None),
            Err(StoreError::Conflict(_)) => build_of(store, order.run).await?.unwrap_or_else(|| own.clone()),
            Err(error) => return Err(error),
        },
    };
    let (own, first) = (own.id(), first.id());
    Ok((own != first).then(|| {
        format!(
            "its client is {own:?}, and the run is played by {first:?}, which came first: deploy one build to all workers and \
             launch again, or say `mixed_builds` in the request"
        )
    }))
}

/// The build that a worker says it is. Who carries no stamp is known by name and version.
fn stamp(status: &WorkerStatus) -> Stamp {
    let bare = || Stamp { client: status.client.clone(), ..Stamp::default() };
    status.stamp.clone().unwrap_or_else(bare)
}

fn is_asked_for(wanted: &str, status: &WorkerStatus) -> bool {
    let by_stamp = |stamp: &Stamp| stamp.build == wanted || stamp.id() == wanted;
    wanted.is_empty() || wanted == status.client || status.stamp.as_ref().is_some_and(by_stamp)
}

#[cfg(test)]
mod tests;
