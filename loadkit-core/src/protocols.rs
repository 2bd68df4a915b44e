//! Whether client and server speak the same protocol, as both tell it by its fingerprint.

use crate::cx::Cx;
use crate::metrics::{Totals, names};

/// Of a fingerprint so many characters are kept: the server says it, and may say anything.
const KEPT: usize = 32;

impl Cx {
    /// Compares the fingerprint of the client's protocol with that of the server, which tells it at log-in. The report says
    /// when they differ. A server that tells none is not compared.
    ///
    /// ```text
    /// cx.protocols(env!("LOADKIT_PROTOCOL"), &welcome.protocol);
    /// ```
    pub fn protocols(&self, ours: &str, theirs: &str) {
        if theirs.is_empty() || ours == theirs {
            return;
        }
        let [ours, theirs] = [ours, theirs].map(shown);
        self.count(names::PROTOCOL_DIFFERS, 1);
        self.count(&format!("{}{{protocols={ours}/{theirs}}}", names::PROTOCOL_DIFFERS), 1);
    }
}

fn shown(fingerprint: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    fingerprint.chars().map(|c| if is_plain(c) { c } else { '?' }).take(KEPT).collect()
}

/// What a report says of it, if they differ.
pub(crate) fn difference(totals: &Totals) -> Option<String> {
    let players = totals.count(names::PROTOCOL_DIFFERS);
    if players == 0 {
        return None;
    }
    let prefix = format!("{}{{protocols=", names::PROTOCOL_DIFFERS);
    let parts = totals.counts.keys().filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix('}'));
    let (ours, theirs) = parts.filter_map(|part| part.split_once('/')).next().unwrap_or(("?", "?"));
    let ours = if ours.is_empty() { "none" } else { ours };
    Some(format!(
        "the server speaks another protocol than the client: the server's fingerprint is {theirs}, the client's {ours}; build \
         the client from the server's schema"
    ))
}
