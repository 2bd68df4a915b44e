//! Styles, scripts and the chart library: compiled in, sent packed.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::packed::takes_gzip;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 10] = [
    Asset { name: "dashboard.css", kind: "text/css; charset=utf-8", text: include_str!("assets/dashboard.css") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") },
    // Chart.js 4.5.1, MIT: its licence is at the top of the file.
    Asset { name: "chart.js", kind: JS, text: include_str!(concat!(env!("OUT_DIR"), "/chart.js")) },
    Asset { name: "board.js", kind: JS, text: include_str!("assets/board.js") },
    Asset { name: "text.js", kind: JS, text: include_str!("assets/text.js") },
    Asset { name: "live.js", kind: JS, text: include_str!("assets/live.js") },
    Asset { name: "run.js", kind: JS, text: include_str!("assets/run.js") },
    Asset { name: "workers.js", kind: JS, text: include_str!("assets/workers.js") },
    Asset { name: "trend.js", kind: JS, text: include_str!("assets/trend.js") },
    Asset { name: "compare.js", kind: JS, text: include_str!("assets/compare.js") },
];

/// Each of them packed, and its tag: it changes when the service is another one.
static PACKED: LazyLock<Vec<(Vec<u8>, String)>> = LazyLock::new(|| {
    let packed = ASSETS.iter().map(|asset| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let bytes = packer.write_all(asset.text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        // What gzip ends with: the text's checksum and its length.
        let end = bytes.iter().rev().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        (bytes, format!("\"{end}\""))
    });
    packed.collect()
});

/// One of them.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((asset, (packed, tag))) = ASSETS.iter().zip(&*PACKED).find(|(asset, _)| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let fixed =
        [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "no-cache"), (header::VARY, "accept-encoding")];
    let tagged = [(header::ETAG, tag.clone())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, fixed, tagged).into_response();
    }
    if takes_gzip(&headers) && !packed.is_empty() {
        return (fixed, tagged, [(header::CONTENT_ENCODING, "gzip")], packed.clone()).into_response();
    }
    (fixed, tagged, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// `dist/chart.umd.js` of Chart.js 4.5.1, as its authors published it.
    const CHART_JS: &str = "ecc3cd1eeb8c34d2178e3f59fd63ec5a3d84358c11730af0b9958dc886d7652a";

    #[test]
    fn the_chart_library_is_its_authors_own() {
        let chart = ASSETS.iter().find(|asset| asset.name == "chart.js").unwrap();
        let hash: String = Sha256::digest(chart.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, CHART_JS);
        assert!(chart.text.contains("MIT License"), "the licence comes along");
    }
}
