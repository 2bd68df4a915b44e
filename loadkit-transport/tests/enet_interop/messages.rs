//! What is sent, and what must have come of it.

use std::collections::HashSet;

use loadkit_core::Failure;
use loadkit_transport::{Channel, Delivery};
use tokio::time::Instant;

/// Each kind has a channel, and its messages are numbered.
const KINDS: [(Delivery, u8); 5] = [
    (Delivery::Ordered, 0),
    (Delivery::Ordered, 3),
    (Delivery::Sequenced, 1),
    (Delivery::Sequenced, 0),
    (Delivery::Unreliable, 2),
];
const RELIABLE: std::ops::Range<usize> = 0..2;

/// A message that can be told from all others: its kind, its number, and bytes that follow from them; some are longer
/// than a datagram.
fn message(side: u8, kind: usize, number: u32) -> Vec<u8> {
    let is_long = number % 61 == 7 && KINDS[kind].0 != Delivery::Unreliable;
    let len = if is_long { 1_000 + number.wrapping_mul(2_654_435_761) % 5_000 } else { number % 120 };
    let mut bytes = vec![side, kind as u8];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend((0..len).map(|i| (i ^ number) as u8));
    bytes
}

/// One side's messages.
#[derive(Debug)]
pub(crate) struct Sender {
    side: u8,
    next: [u32; KINDS.len()],
    stepped: Option<Instant>,
    per_step: u32,
}

impl Sender {
    pub(crate) fn new(side: u8) -> Sender {
        Sender { side, next: [0; KINDS.len()], stepped: None, per_step: 0 }
    }

    /// Messages sent on each of the reliable channels.
    pub(crate) fn reliable(&self) -> u32 {
        self.next[RELIABLE.start]
    }

    /// A few in each moment.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        if self.stepped != Some(now) {
            (self.stepped, self.per_step) = (Some(now), 0);
        }
        self.per_step += 1;
        self.per_step <= 4
    }

    /// One of each kind.
    pub(crate) fn send(&mut self, mut send: impl FnMut(Delivery, u8, &[u8]) -> Result<(), Failure>) {
        for (kind, (delivery, lane)) in KINDS.into_iter().enumerate() {
            send(delivery, lane, &message(self.side, kind, self.next[kind])).unwrap();
            self.next[kind] += 1;
        }
    }
}

/// What one side has of the other's messages.
#[derive(Debug)]
pub(crate) struct Received {
    side: u8,
    /// Of the kinds that are in order: the number that may come next.
    next: [u32; KINDS.len()],
    count: [u32; KINDS.len()],
    unordered: HashSet<u32>,
    long: u32,
}

impl Received {
    pub(crate) fn new(side: u8) -> Received {
        Received { side, next: [0; KINDS.len()], count: [0; KINDS.len()], unordered: HashSet::new(), long: 0 }
    }

    /// Messages that have come on each of the reliable channels.
    pub(crate) fn reliable(&self) -> u32 {
        self.count[RELIABLE].iter().copied().min().unwrap()
    }

    /// A message, and where it travelled.
    pub(crate) fn take(&mut self, channel: Channel, bytes: &[u8]) {
        let kind = self.take_any(channel.lane, bytes);
        // Of 65,536 unreliable messages in a row the last is reliable.
        let renumbers = self.next[kind].is_multiple_of(65_536) && channel.delivery == Delivery::Ordered;
        assert!(renumbers || KINDS[kind].0 == channel.delivery, "{} of {kind} on {channel:?}", self.next[kind]);
    }

    /// A message from whoever does not say how it travelled.
    pub(crate) fn take_any(&mut self, lane: u8, bytes: &[u8]) -> usize {
        let (side, kind) = (bytes[0], usize::from(bytes[1]));
        let number = u32::from_le_bytes(bytes[2..6].try_into().unwrap());
        assert!(side == self.side && bytes == message(side, kind, number), "{number} of {kind} is another");
        assert_eq!(KINDS[kind].1, lane);
        match KINDS[kind].0 {
            Delivery::Ordered => assert_eq!(number, self.next[kind], "of {kind}"),
            Delivery::Sequenced => assert!(number >= self.next[kind], "{number} is older than {}", self.next[kind]),
            _ => assert!(self.unordered.insert(number), "{number} twice"),
        }
        self.next[kind] = number + 1;
        self.count[kind] += 1;
        self.long += u32::from(bytes.len() > 1_392 && KINDS[kind].0 == Delivery::Sequenced);
        kind
    }

    /// All that had to come has come.
    pub(crate) fn check(&self, sent: &Sender, is_bad: bool, is_throttled: bool) {
        for (kind, (delivery, lane)) in KINDS.into_iter().enumerate() {
            let (count, sent) = (self.count[kind], sent.next[kind]);
            let least = match delivery {
                _ if !is_bad => sent,
                Delivery::Ordered => sent,
                _ if is_throttled => 0,
                // The C library drops those between two reliable ones that it delivers at once.
                Delivery::Sequenced if lane == 0 => sent / 100,
                Delivery::Sequenced => sent / 10,
                _ => sent * 3 / 10,
            };
            assert!(count >= least && count <= sent, "{count} of {sent} {delivery:?} on {lane}");
        }
        assert!(self.long > 0 || sent.reliable() < 500, "no unreliable message came together from its pieces");
    }
}
