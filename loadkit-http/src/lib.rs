//! `async fn send(Request) -> Result<Response, HttpError>`: HTTP/1.1 with a bound on every time and every length.
//!
//! **An error says whether the server may have done what was asked** ([`HttpError::may_be_done`]). Nothing is repeated here but
//! what was surely not sent: who knows what a repeat means repeats it.
//!
//! Deliberately absent: redirects, cookies, proxies, compression, HTTP/2, streams.

mod client;
mod connect;
mod error;

pub use bytes::Bytes;
pub use client::{Http, Limits};
pub use error::HttpError;
pub use http;
