//! Connection ids that begin with a number, by which datagrams on a shared socket are told apart.

use std::time::Duration;

use loadkit_core::{Rng, Seed};
use quinn_proto::{ConnectionId, ConnectionIdGenerator};
use rand::Rng as _;

/// Bytes of an id: the number, and four that make it one of many.
const LEN: usize = 8;

/// Makes ids that begin with the same number. They show that they belong together, which real clients hide from whoever
/// watches the network; bots on one socket have nothing to hide.
#[derive(Debug)]
pub(super) struct NumberedIds {
    number: u32,
    rng: Rng,
}

impl NumberedIds {
    pub(super) fn new(number: u32, seed: u64) -> NumberedIds {
        NumberedIds { number, rng: Seed(seed).rng("connection-ids", 0, 0) }
    }
}

impl ConnectionIdGenerator for NumberedIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; LEN];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        self.rng.fill_bytes(&mut id[4..]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The number in the id to which a datagram goes (RFC 8999, section 5).
pub(super) fn number_in(datagram: &[u8]) -> Option<u32> {
    let (first, rest) = datagram.split_first()?;
    let id = if first & 0x80 == 0 {
        rest.get(..LEN)?
    } else {
        // Behind the version stands the length of the id.
        let (len, rest) = rest.get(4..)?.split_first()?;
        rest.get(..usize::from(*len)).filter(|id| id.len() == LEN)?
    };
    id.first_chunk().map(|number| u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_both_kinds_of_header() {
        let id = NumberedIds::new(7, 1).generate_cid();
        assert_ne!(id, NumberedIds::new(7, 2).generate_cid());
        let short = [&[0x40], &id[..], b"payload"].concat();
        let long = [&[0xC0, 0, 0, 0, 1, 8], &id[..], b"payload"].concat();
        assert_eq!((number_in(&short), number_in(&long)), (Some(7), Some(7)));
        for datagram in [&[][..], &[0x40], &short[..8], &long[..13], &[0xC0, 0, 0, 0, 1, 4, 1, 2, 3, 4]] {
            assert_eq!(number_in(datagram), None, "{datagram:?}");
        }
    }
}
