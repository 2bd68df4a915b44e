//! `Authorization: Bearer … -> Caller`: tokens for a fleet that stands behind no API Gateway.
//!
//! **A token is shown once, when it is made; the store has only what proves it.** That is HMAC-SHA-256 of its 32 random bytes
//! under a salt of its own, compared in constant time. A name is used once: after its token was revoked, what it did stays
//! its own.

mod role;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loadkit_worker::{Clock, Expect, Key, Store, StoreError, get_json, put_json};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::guard::Refusal;
use crate::request::Caller;
pub use role::Role;
pub(crate) use role::is_of_roles;

/// The partition of tokens.
const PART: &str = "tokens";
/// What a token begins with, so that those who look for lost secrets find it.
const PREFIX: &str = "lk";
/// No name is longer.
const MAX_NAME: usize = 60;
/// No more tokens than these, revoked ones included.
const MAX_TOKENS: usize = 1_000;

/// Tokens in a store.
#[derive(Clone, Debug)]
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What is known about a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(from = "Told")]
pub struct TokenInfo {
    /// Its name, which is its caller's.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Whether it may make, list and revoke tokens: whether `role` is `admin`.
    pub admin: bool,
    /// Who made it.
    pub by: String,
    /// When, ms since 1970.
    pub created_at_ms: u64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
}

/// What is known about a token as it may be written: before there were roles, only whether it was an administrator's.
#[derive(Deserialize)]
struct Told {
    name: String,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    admin: bool,
    by: String,
    created_at_ms: u64,
    #[serde(default)]
    revoked_at_ms: Option<u64>,
}

impl From<Told> for TokenInfo {
    fn from(told: Told) -> TokenInfo {
        let Told { name, role, admin, by, created_at_ms, revoked_at_ms } = told;
        let role = role.unwrap_or(if admin { Role::Admin } else { Role::Launch });
        TokenInfo { name, role, admin: role == Role::Admin, by, created_at_ms, revoked_at_ms }
    }
}

/// A token that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The token itself: it is not shown again.
    pub token: String,
    /// What is known about it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// The token stays out of logs.
impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The caller.
    pub caller: Caller,
    /// What it may do.
    pub role: Role,
}

impl Known {
    /// Whether it may do what this role may.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }

    /// The same, as an answer.
    ///
    /// # Errors
    /// If it may not: the rule that says so.
    pub fn must(&self, role: Role) -> Result<(), Refusal> {
        if self.may(role) {
            return Ok(());
        }
        let why = format!("{:?} may not {}: it has the role {}", self.caller.name, role.what(), self.role);
        Err(Refusal { rule: role.rule(), why })
    }
}

/// A token as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    info: TokenInfo,
    salt: String,
    proof: String,
}

/// Why a token is not taken, or not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// There is none.
    Missing,
    /// It is no token, or none of ours.
    Unknown,
    /// It was revoked.
    Revoked(String),
    /// No token can have this name.
    Name(String),
    /// There is a token of this name, or there was one.
    Taken(String),
    /// There are as many as there may be.
    TooMany,
    /// The system gives no random numbers.
    NoRandom,
    /// The store does not answer.
    Store(StoreError),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Missing => {
                f.write_str("the request has no token: send the header `Authorization: Bearer TOKEN`")
            }
            AuthError::Unknown => f.write_str("the fleet knows no such token"),
            AuthError::Revoked(name) => write!(f, "the token {name:?} was revoked"),
            AuthError::Name(name) => {
                write!(
                    f,
                    "{name:?} is no name of a token: it has 1 to {MAX_NAME} lower-case letters, digits, dots and dashes"
                )
            }
            AuthError::Taken(name) => write!(f, "there is or was a token {name:?}, and a name is used once"),
            AuthError::TooMany => {
                write!(f, "there are {MAX_TOKENS} tokens, revoked ones included, and may not be more")
            }
            AuthError::NoRandom => f.write_str("the system gives no random numbers"),
            AuthError::Store(error) => write!(f, "tokens cannot be looked up: {error}"),
        }
    }
}

impl std::error::Error for AuthError {}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> AuthError {
        AuthError::Store(error)
    }
}

impl Tokens {
    /// Those of this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Tokens {
        Tokens { store, clock }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn create(&self, name: &str, role: Role, by: &Caller) -> Result<NewToken, AuthError> {
        check_name(name)?;
        if self.list().await?.len() >= MAX_TOKENS {
            return Err(AuthError::TooMany);
        }
        let (secret, salt) = (random()?, random()?);
        let created_at_ms = self.clock.now_ms();
        let (name_of_it, by, admin) = (name.to_owned(), by.name.clone(), role == Role::Admin);
        let info = TokenInfo { name: name_of_it, role, admin, by, created_at_ms, revoked_at_ms: None };
        let proof = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salt), &secret);
        let stored =
            Stored { info: info.clone(), salt: URL_SAFE_NO_PAD.encode(salt), proof: URL_SAFE_NO_PAD.encode(proof) };
        match put_json(&*self.store, key(name), &stored, Expect::Absent).await {
            Ok(_) => Ok(NewToken { token: format!("{PREFIX}_{name}_{}", URL_SAFE_NO_PAD.encode(secret)), info }),
            Err(StoreError::Conflict(_)) => Err(AuthError::Taken(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// If it is unknown or was revoked, and see [`AuthError`].
    pub async fn check(&self, token: &str) -> Result<Known, AuthError> {
        let mut parts = token.splitn(3, '_');
        let (Some(PREFIX), Some(name), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(AuthError::Unknown);
        };
        check_name(name).map_err(|_| AuthError::Unknown)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| AuthError::Unknown)?;
        let Some((stored, _)) = get_json::<Stored>(&*self.store, &key(name)).await? else {
            return Err(AuthError::Unknown);
        };
        let (salt, proof) = (URL_SAFE_NO_PAD.decode(&stored.salt), URL_SAFE_NO_PAD.decode(&stored.proof));
        let (Ok(salt), Ok(proof)) = (salt, proof) else { return Err(AuthError::Unknown) };
        // Compares in constant time.
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &salt), &secret, &proof).map_err(|_| AuthError::Unknown)?;
        if stored.info.revoked_at_ms.is_some() {
            return Err(AuthError::Revoked(stored.info.name));
        }
        Ok(Known { caller: Caller { name: stored.info.name }, role: stored.info.role })
    }

    /// All tokens, by name, revoked ones included.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn list(&self) -> Result<Vec<TokenInfo>, AuthError> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        // The bound is for a store that always has more.
        for _ in 0..MAX_TOKENS {
            let page = self.store.list(PART, "", after.as_deref(), 200).await?;
            for item in &page.items {
                let stored = serde_json::from_slice::<Stored>(&item.body);
                let malformed =
                    |error: serde_json::Error| StoreError::Malformed { key: item.key.clone(), why: error.to_string() };
                found.push(stored.map_err(malformed)?.info);
            }
            match page.more {
                Some(more) if found.len() < MAX_TOKENS => after = Some(more),
                _ => break,
            }
        }
        Ok(found)
    }

    /// Revokes a token: it is refused from now on. One that was revoked stays so.
    ///
    /// # Errors
    /// [`AuthError::Unknown`] if there is none of this name, and see [`AuthError`].
    pub async fn revoke(&self, name: &str) -> Result<TokenInfo, AuthError> {
        check_name(name).map_err(|_| AuthError::Unknown)?;
        let Some((mut stored, version)) = get_json::<Stored>(&*self.store, &key(name)).await? else {
            return Err(AuthError::Unknown);
        };
        if stored.info.revoked_at_ms.is_none() {
            stored.info.revoked_at_ms = Some(self.clock.now_ms());
            put_json(&*self.store, key(name), &stored, Expect::Version(version)).await?;
        }
        Ok(stored.info)
    }
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn is_same_secret(ours: &str, theirs: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"loadkit: the same secret?");
    hmac::verify(&key, theirs.as_bytes(), hmac::sign(&key, ours.as_bytes()).as_ref()).is_ok()
}

fn key(name: &str) -> Key {
    Key::new(PART, name)
}

/// A name has no colon, so that none looks like an ARN, and no underscore, which ends it in a token.
fn check_name(name: &str) -> Result<(), AuthError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        return Err(AuthError::Name(name.chars().take(MAX_NAME).collect()));
    }
    Ok(())
}

fn random() -> Result<[u8; 32], AuthError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AuthError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use loadkit_worker::{MemoryStore, VirtualClock};

    use super::*;

    fn tokens() -> (Tokens, Arc<MemoryStore>) {
        let store = Arc::new(MemoryStore::new());
        (Tokens::new(store.clone(), Arc::new(VirtualClock::new(Duration::from_secs(1)))), store)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_until_it_is_revoked() {
        let (tokens, store) = tokens();
        let by = Caller { name: "root".into() };
        let new = tokens.create("ci-arena", Role::Launch, &by).await.unwrap();
        let known = tokens.check(&new.token).await.unwrap();
        assert_eq!((known.caller.name.as_str(), known.role), ("ci-arena", Role::Launch));
        assert!(!format!("{new:?}").contains(&new.token));

        // What lies in the store does not hold it.
        let lies = store.get(&key("ci-arena")).await.unwrap().unwrap();
        let secret = new.token.rsplit_once("ci-arena_").unwrap().1;
        assert!(!String::from_utf8_lossy(&lies.body).contains(secret));

        assert_eq!(tokens.create("ci-arena", Role::Admin, &by).await, Err(AuthError::Taken("ci-arena".into())));
        assert_eq!(tokens.revoke("ci-arena").await.unwrap().revoked_at_ms, Some(1_000));
        assert_eq!(tokens.check(&new.token).await, Err(AuthError::Revoked("ci-arena".into())));
        assert_eq!(tokens.create("ci-arena", Role::Admin, &by).await, Err(AuthError::Taken("ci-arena".into())));
        assert_eq!(tokens.list().await.unwrap().len(), 1);
        assert_eq!(tokens.revoke("nobody").await, Err(AuthError::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_token_of_ours() {
        let (tokens, _) = tokens();
        let by = Caller::default();
        let one = tokens.create("one", Role::Admin, &by).await.unwrap().token;
        let two = tokens.create("two", Role::Launch, &by).await.unwrap().token;
        // Revoked is said only to who has the secret.
        tokens.revoke("two").await.unwrap();
        let mixed = format!("lk_two_{}", one.rsplit_once("one_").unwrap().1);
        let short = &one[..one.len() - 2];
        for token in ["", "lk", "lk_", "lk_one", "lk_one_", "lk_one_????", "lk_ONE_AAAA", "xx_one_AAAA", &mixed, short]
        {
            assert_eq!(tokens.check(token).await, Err(AuthError::Unknown), "{token}");
        }
        assert!(matches!(tokens.check(&two).await, Err(AuthError::Revoked(_))));
        for name in ["", "A", "a_b", "arn:aws", "a b", &"a".repeat(61)] {
            assert!(matches!(tokens.create(name, Role::Launch, &by).await, Err(AuthError::Name(_))), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_of_before_there_were_roles_keep_what_they_could() {
        let (tokens, store) = tokens();
        for (name, admin, role) in [("old", false, Role::Launch), ("chief", true, Role::Admin)] {
            let new = tokens.create(name, Role::Look, &Caller::default()).await.unwrap();
            let (mut stored, version) = get_json::<serde_json::Value>(&*store, &key(name)).await.unwrap().unwrap();
            stored.as_object_mut().unwrap().remove("role");
            stored["admin"] = admin.into();
            put_json(&*store, key(name), &stored, Expect::Version(version)).await.unwrap();
            assert_eq!(tokens.check(&new.token).await.unwrap().role, role);
            // What is written again says both.
            let info = tokens.revoke(name).await.unwrap();
            assert_eq!((info.role, info.admin), (role, admin));
        }
    }

    #[test]
    fn roles_hold_each_other() {
        let known = |role| Known { caller: Caller { name: "ci".into() }, role };
        for (has, wants, may) in [
            (Role::Look, Role::Look, true),
            (Role::Look, Role::Launch, false),
            (Role::Launch, Role::Look, true),
            (Role::Launch, Role::Admin, false),
            (Role::Admin, Role::Launch, true),
        ] {
            assert_eq!(known(has).must(wants).is_ok(), may, "{has} {wants}");
        }
        let refusal = known(Role::Look).must(Role::Launch).unwrap_err();
        assert_eq!(refusal.rule, "role launch (always)");
        assert!(is_of_roles(&refusal.rule) && !is_of_roles("role launch"));
        assert!(refusal.why.contains("may not launch, stop"), "{}", refusal.why);
    }

    #[test]
    fn secrets_are_compared_whole() {
        for (ours, theirs, same) in [("abc", "abc", true), ("abc", "abd", false), ("abc", "ab", false), ("", "", true)]
        {
            assert_eq!(is_same_secret(ours, theirs), same, "{ours} {theirs}");
        }
    }
}
