//! stub
use std::path::Path;
pub(crate) fn is_supported(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "csv" || e == "jsonl")
}
