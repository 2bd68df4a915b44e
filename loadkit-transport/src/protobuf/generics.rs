//! The generic messages that every game ends up with.

use loadkit_core::{Failure, Kind};
use prost::{Message, Oneof};

/// A page of a longer list.
///
/// ```text
/// Paged<T> { items = 1 repeated T, page = 2 uint32, total = 3 uint64, next = 4 string }
/// ```
#[derive(Clone, PartialEq, Debug, Message)]
#[prost(skip_debug)]
pub struct Paged<T: Message + Default> {
    /// What is on the page.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<T>,
    /// Which page it is, from 0.
    #[prost(uint32, tag = "2")]
    pub page: u32,
    /// How many items the whole list has; 0 if the service does not say.
    #[prost(uint64, tag = "3")]
    pub total: u64,
    /// What to ask with for the next page; empty on the last, or where pages are asked for by number.
    #[prost(string, tag = "4")]
    pub next: String,
}

/// What came of a request: what was asked for, or an error of the game.
///
/// ```text
/// Outcome<T, E> { oneof either { ok = 1 T, error = 2 E } }
/// ```
#[derive(Clone, PartialEq, Debug, Message)]
#[prost(skip_debug)]
pub struct Outcome<T: Message + Default, E: Message + Default> {
    /// One of the two; neither is an outcome that makes no sense.
    #[prost(oneof = "Either::<T, E>", tags = "1, 2")]
    pub either: Option<Either<T, E>>,
}

/// One of the two that an [`Outcome`] can be.
#[derive(Clone, PartialEq, Debug, Oneof)]
#[prost(skip_debug)]
pub enum Either<T: Message + Default, E: Message + Default> {
    /// What was asked for.
    #[prost(message, tag = "1")]
    Ok(T),
    /// Why not.
    #[prost(message, tag = "2")]
    Error(E),
}

impl<T: Message + Default, E: Message + Default> Outcome<T, E> {
    /// As a result; `None` if it is neither.
    pub fn into_result(self) -> Option<Result<T, E>> {
        self.either.map(|either| match either {
            Either::Ok(value) => Ok(value),
            Either::Error(error) => Err(error),
        })
    }

    /// As the answer to the request `asked`.
    ///
    /// # Errors
    /// The error as a failure of the game's own kind; `UNEXPECTED` if it is neither.
    pub fn into_reply(self, asked: &str) -> Result<T, Failure>
    where
        E: Into<Failure>,
    {
        let neither = || Failure::new(Kind::UNEXPECTED, format!("the answer to {asked} is neither ok nor an error"));
        self.into_result().ok_or_else(neither)?.map_err(Into::into)
    }
}

impl<T: Message + Default, E: Message + Default> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Self {
        let either = match result {
            Ok(value) => Either::Ok(value),
            Err(error) => Either::Error(error),
        };
        Outcome { either: Some(either) }
    }
}
