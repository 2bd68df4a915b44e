//! Numbers that nobody can foresee.

use ring::rand::{SecureRandom, SystemRandom};

/// Any number.
pub(crate) fn number() -> u64 {
    let mut bytes = [0; 8];
    // It fails only where the system has no source at all; then what follows is less well spread.
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
