//! `parts -> 16 hexadecimal digits`: what fingerprints are made with.

use sha2::{Digest, Sha256};

/// The first 8 bytes of the SHA-256 of all parts, each with a line feed behind it.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update(b"\n");
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        assert_eq!(fingerprint([]), "e3b0c44298fc1c14");
        assert_ne!(fingerprint([b"a".as_slice(), b"b"]), fingerprint([b"ab".as_slice()]));
    }
}
