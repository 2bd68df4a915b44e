//! `async fn send(Request) -> Result<Response, HttpError>`: HTTP/1.1 with a bound on every time and every length.
//!
//! **An error says whether the server may have done what was asked** ([`HttpError::may_be_done`]). Nothing is repeated here but
//! what was surely not sent: who knows what a repeat means repeats it.
//!
//! An answer that goes on and on is read as it comes ([`Http::open`]), with a bound on each silence.
//!
//! Deliberately absent: redirects, cookies, proxies, compression, HTTP/2.

mod client;
mod connect;
mod error;
mod stream;

pub use bytes::Bytes;
pub use client::{Http, Limits};
pub use error::HttpError;
pub use http;
pub use stream::Streamed;
