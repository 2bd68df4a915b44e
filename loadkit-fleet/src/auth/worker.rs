//! The token of a run's workers: made from the run's name under the fleet's key, so that any part of the fleet can make it
//! again for a worker that it starts later, and none has to keep it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loadkit_core::RunId;
use loadkit_worker::{Expect, Item, Key, Store, StoreError};
use ring::hmac;

use super::{AuthError, random};

/// What it begins with.
const PREFIX: &str = "lkw_";

/// Makes and knows the tokens of runs' workers.
#[derive(Clone, Debug)]
pub struct WorkerTokens(hmac::Key);

impl WorkerTokens {
    /// With the fleet's key, which lies in the store; the first to come makes it.
    ///
    /// # Errors
    /// If the store does not answer, or the system gives no random numbers.
    pub async fn load(store: &dyn Store) -> Result<WorkerTokens, AuthError> {
        let key = Key::new("fleet", "worker-key");
        let found = match store.get(&key).await? {
            Some(item) => item.body,
            None => {
                let fresh = random()?.to_vec();
                match store.put(Item::new(key.clone(), fresh.clone()), Expect::Absent).await {
                    Ok(_) => fresh,
                    Err(StoreError::Conflict(Some(item))) => item.body,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if found.len() != 32 {
            let why = format!("the key has {} bytes in place of 32", found.len());
            return Err(StoreError::Malformed { key, why }.into());
        }
        Ok(WorkerTokens(hmac::Key::new(hmac::HMAC_SHA256, &found)))
    }

    /// The token of this run's workers.
    pub fn token(&self, run: RunId) -> String {
        let tag = hmac::sign(&self.0, message(run).as_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether it is this run's. Takes the same time whatever is wrong with it.
    pub fn is_of(&self, run: RunId, token: &str) -> bool {
        let tag = token.strip_prefix(PREFIX).and_then(|tag| URL_SAFE_NO_PAD.decode(tag).ok());
        tag.is_some_and(|tag| hmac::verify(&self.0, message(run).as_bytes(), &tag).is_ok())
    }
}

fn message(run: RunId) -> String {
    format!("loadkit worker of run {run}")
}
