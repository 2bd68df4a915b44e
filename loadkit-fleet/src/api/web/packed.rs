//! Figures for scripts, packed: they repeat themselves, and the way to a phone is narrow.

use std::io::Write as _;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

pub(super) use crate::api::gateway::takes_gzip;

/// Shorter answers are not worth it.
const WORTH: usize = 1_000;

/// An answer in JSON.
pub(super) fn json(headers: &HeaderMap, value: &Value) -> Response {
    let text = value.to_string();
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::VARY, "accept-encoding")];
    if takes_gzip(headers) && text.len() > WORTH {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        if let Ok(packed) = packer.write_all(text.as_bytes()).and_then(|()| packer.finish()) {
            return (kind, [(header::CONTENT_ENCODING, "gzip")], packed).into_response();
        }
    }
    (kind, text).into_response()
}
