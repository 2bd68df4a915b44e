//! The bytes of a datagram, as ENet 1.3's `protocol.h` lays them out. All numbers are big-endian.
//!
//! ```text
//! datagram    u16: bits 0-11 the receiver's number of the peer (0xFFF: none yet), bits 12-13 its session,
//!             bit 14 "compressed", bit 15 "with a time"; the sender's time in ms u16 if bit 15 is set;
//!             a checksum u32 where both ends have agreed on one; commands
//! command     u8: bits 0-3 its kind, bit 6 "unsequenced", bit 7 "to be acknowledged"; channel u8 (0xFF: of the
//!             connection itself); reliable sequence number u16; then by kind:
//!  1 acknowledge          sequence number u16, the time of the datagram in which it came u16
//!  2 connect              peer number u16, session u8 inwards and outwards; u32 each: mtu, window, channels, bandwidth
//!                         inwards and outwards, throttle interval, acceleration and deceleration, connect id, data
//!  3 verify connect       as connect, without data
//!  4 disconnect           data u32
//!  5 ping
//!  6 send reliable        length u16, the bytes
//!  7 send unreliable      unreliable sequence number u16, length u16, the bytes
//!  8 send fragment        first sequence number u16, length u16; u32 each: number of fragments, number of this one,
//!                         length of the whole, place in the whole; the bytes
//!  9 send unsequenced     group u16, length u16, the bytes
//! 10 bandwidth limit      inwards u32, outwards u32
//! 11 throttle configure   interval u32, acceleration u32, deceleration u32
//! 12 unreliable fragment  as send fragment
//! ```

use super::checksum::crc32;

/// The peer number in a datagram whose receiver has given none yet, and what masks it.
pub(super) const NO_PEER: u16 = 0xFFF;
/// The channel of commands that concern the connection itself.
pub(super) const CONNECTION: u8 = 0xFF;
/// The session in a connect request: none before it.
pub(super) const NO_SESSION: u8 = 0xFF;
/// The longest header: peer, time, checksum.
pub(super) const MAX_HEADER: usize = 8;
/// An acknowledgement's length.
pub(super) const ACKNOWLEDGE_LEN: usize = 8;
/// What a fragment has before its bytes: the most of all commands that carry a message.
pub(super) const FRAGMENT_LEN: usize = 24;

const COMPRESSED: u16 = 1 << 14;
const WITH_TIME: u16 = 1 << 15;
const SESSION_SHIFT: u16 = 12;
const UNSEQUENCED: u8 = 1 << 6;
const ACKNOWLEDGE: u8 = 1 << 7;

/// What every datagram begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) peer: u16,
    pub(super) session: u8,
    pub(super) sent_time: Option<u16>,
}

/// The number by which the receiver of an ENet datagram knows its connection: its sender was told it in the handshake.
/// `None` when the bytes are no ENet datagram, or ask for a new connection.
pub fn peer_id_of(datagram: &[u8]) -> Option<u16> {
    let first = u16::from_be_bytes(*datagram.first_chunk()?);
    Some(first & NO_PEER).filter(|&peer| peer != NO_PEER)
}

impl Header {
    /// The header, and the bytes behind it (a checksum first, where there is one). `None` also for compressed ones.
    pub(super) fn read(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let mut rest = datagram;
        let first = u16_of(&mut rest)?;
        if first & COMPRESSED != 0 {
            return None;
        }
        let sent_time = if first & WITH_TIME != 0 { Some(u16_of(&mut rest)?) } else { None };
        let session = (first >> SESSION_SHIFT) as u8 & 3;
        Some((Header { peer: first & NO_PEER, session, sent_time }, rest))
    }

    /// Its bytes, and how many of them there are.
    pub(super) fn bytes(&self) -> ([u8; 4], usize) {
        let time = if self.sent_time.is_some() { WITH_TIME } else { 0 };
        let [a, b] = (self.peer | u16::from(self.session) << SESSION_SHIFT | time).to_be_bytes();
        let [c, d] = self.sent_time.unwrap_or_default().to_be_bytes();
        ([a, b, c, d], if self.sent_time.is_some() { 4 } else { 2 })
    }
}

/// Whether the checksum of a datagram is right, and the commands behind it. It stands right behind the header, and is
/// that of the whole datagram with `connect_id` in its place.
pub(super) fn checked<'a>(datagram: &[u8], behind_header: &'a [u8], connect_id: u32) -> Option<&'a [u8]> {
    let (told, commands) = behind_header.split_first_chunk()?;
    let head = datagram.get(..datagram.len() - behind_header.len())?;
    let crc = crc32([head, &connect_id.to_be_bytes(), commands]);
    (crc == u32::from_be_bytes(*told)).then_some(commands)
}

/// The checksum of a datagram to be sent.
pub(super) fn checksum(header: &[u8], connect_id: u32, commands: &[u8]) -> [u8; 4] {
    crc32([header, &connect_id.to_be_bytes(), commands]).to_be_bytes()
}

/// How readily unreliable messages are dropped when round trips grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThrottleRates {
    pub(super) interval_ms: u32,
    pub(super) acceleration: u32,
    pub(super) deceleration: u32,
}

/// What a connection is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// The sender's own number of the peer.
    pub(super) peer: u16,
    /// Inwards and outwards, as the client sees it.
    pub(super) sessions: [u8; 2],
    pub(super) mtu: u32,
    pub(super) window: u32,
    pub(super) channels: u32,
    /// Bytes a second inwards and outwards, as the sender sees it; 0: any.
    pub(super) bandwidth: [u32; 2],
    pub(super) throttle: ThrottleRates,
    pub(super) connect_id: u32,
}

/// A piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// The sequence number of the first piece.
    pub(super) start: u16,
    /// Pieces in all.
    pub(super) count: u32,
    pub(super) number: u32,
    /// Bytes in all.
    pub(super) total: u32,
    pub(super) offset: u32,
    pub(super) bytes: &'a [u8],
}

/// What a command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Acknowledge { sequence: u16, sent_time: u16 },
    Connect { terms: Terms, data: u32 },
    VerifyConnect(Terms),
    Disconnect { data: u32 },
    Ping,
    Reliable(&'a [u8]),
    Unreliable { number: u16, bytes: &'a [u8] },
    Fragment(Fragment<'a>),
    Unsequenced { group: u16, bytes: &'a [u8] },
    BandwidthLimit([u32; 2]),
    ThrottleConfigure(ThrottleRates),
    UnreliableFragment(Fragment<'a>),
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) channel: u8,
    /// Its number among the reliable ones of its channel; of an unreliable one: that of the last reliable one before.
    pub(super) sequence: u16,
    /// It is reliable.
    pub(super) acknowledge: bool,
    pub(super) unsequenced: bool,
    pub(super) body: Body<'a>,
}

impl Body<'_> {
    fn kind(&self) -> u8 {
        match self {
            Body::Acknowledge { .. } => 1,
            Body::Connect { .. } => 2,
            Body::VerifyConnect(_) => 3,
            Body::Disconnect { .. } => 4,
            Body::Ping => 5,
            Body::Reliable(_) => 6,
            Body::Unreliable { .. } => 7,
            Body::Fragment(_) => 8,
            Body::Unsequenced { .. } => 9,
            Body::BandwidthLimit(_) => 10,
            Body::ThrottleConfigure(_) => 11,
            Body::UnreliableFragment(_) => 12,
        }
    }

    fn len(&self) -> usize {
        match self {
            Body::Acknowledge { .. } | Body::Disconnect { .. } => 4,
            Body::Connect { .. } => 44,
            Body::VerifyConnect(_) => 40,
            Body::Ping => 0,
            Body::Reliable(bytes) => 2 + bytes.len(),
            Body::Unreliable { bytes, .. } | Body::Unsequenced { bytes, .. } => 4 + bytes.len(),
            Body::Fragment(fragment) | Body::UnreliableFragment(fragment) => 20 + fragment.bytes.len(),
            Body::BandwidthLimit(_) => 8,
            Body::ThrottleConfigure(_) => 12,
        }
    }
}

impl Command<'_> {
    /// Its length on the wire.
    pub(super) fn len(&self) -> usize {
        4 + self.body.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let acknowledge = if self.acknowledge { ACKNOWLEDGE } else { 0 };
        let unsequenced = if self.unsequenced { UNSEQUENCED } else { 0 };
        out.extend_from_slice(&[self.body.kind() | acknowledge | unsequenced, self.channel]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        match self.body {
            Body::Acknowledge { sequence, sent_time } => write_u16s(out, [sequence, sent_time]),
            Body::Connect { terms, data } => {
                terms.write(out);
                write_u32s(out, [data]);
            }
            Body::VerifyConnect(terms) => terms.write(out),
            Body::Disconnect { data } => write_u32s(out, [data]),
            Body::Ping => {}
            Body::Reliable(bytes) => write_bytes(out, bytes),
            Body::Unreliable { number, bytes } => {
                write_u16s(out, [number]);
                write_bytes(out, bytes);
            }
            Body::Unsequenced { group, bytes } => {
                write_u16s(out, [group]);
                write_bytes(out, bytes);
            }
            Body::Fragment(fragment) | Body::UnreliableFragment(fragment) => {
                write_u16s(out, [fragment.start, length_of(fragment.bytes)]);
                write_u32s(out, [fragment.count, fragment.number, fragment.total, fragment.offset]);
                out.extend_from_slice(fragment.bytes);
            }
            Body::BandwidthLimit(bandwidth) => write_u32s(out, bandwidth),
            Body::ThrottleConfigure(rates) => rates.write(out),
        }
    }
}

impl Terms {
    fn write(&self, out: &mut Vec<u8>) {
        write_u16s(out, [self.peer]);
        out.extend_from_slice(&self.sessions);
        write_u32s(out, [self.mtu, self.window, self.channels, self.bandwidth[0], self.bandwidth[1]]);
        self.throttle.write(out);
        write_u32s(out, [self.connect_id]);
    }

    fn read(rest: &mut &[u8]) -> Option<Terms> {
        Some(Terms {
            peer: u16_of(rest)?,
            sessions: take(rest)?,
            mtu: u32_of(rest)?,
            window: u32_of(rest)?,
            channels: u32_of(rest)?,
            bandwidth: [u32_of(rest)?, u32_of(rest)?],
            throttle: ThrottleRates::read(rest)?,
            connect_id: u32_of(rest)?,
        })
    }
}

impl ThrottleRates {
    fn write(&self, out: &mut Vec<u8>) {
        write_u32s(out, [self.interval_ms, self.acceleration, self.deceleration]);
    }

    fn read(rest: &mut &[u8]) -> Option<ThrottleRates> {
        let [interval_ms, acceleration, deceleration] = [u32_of(rest)?, u32_of(rest)?, u32_of(rest)?];
        Some(ThrottleRates { interval_ms, acceleration, deceleration })
    }
}

/// The commands of a datagram, one after the other; an `Err` ends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commands<'a>(pub(super) &'a [u8]);

/// The bytes are no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoCommand;

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, NoCommand>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let command = command_of(&mut self.0);
        if command.is_none() {
            self.0 = &[];
        }
        Some(command.ok_or(NoCommand))
    }
}

fn command_of<'a>(rest: &mut &'a [u8]) -> Option<Command<'a>> {
    let [first, channel] = take(rest)?;
    let sequence = u16_of(rest)?;
    let body = match first & 0xF {
        1 => Body::Acknowledge { sequence: u16_of(rest)?, sent_time: u16_of(rest)? },
        2 => Body::Connect { terms: Terms::read(rest)?, data: u32_of(rest)? },
        3 => Body::VerifyConnect(Terms::read(rest)?),
        4 => Body::Disconnect { data: u32_of(rest)? },
        5 => Body::Ping,
        6 => Body::Reliable(bytes_of(rest)?),
        7 => Body::Unreliable { number: u16_of(rest)?, bytes: bytes_of(rest)? },
        8 => Body::Fragment(fragment_of(rest)?),
        9 => Body::Unsequenced { group: u16_of(rest)?, bytes: bytes_of(rest)? },
        10 => Body::BandwidthLimit([u32_of(rest)?, u32_of(rest)?]),
        11 => Body::ThrottleConfigure(ThrottleRates::read(rest)?),
        12 => Body::UnreliableFragment(fragment_of(rest)?),
        _ => return None,
    };
    let (acknowledge, unsequenced) = (first & ACKNOWLEDGE != 0, first & UNSEQUENCED != 0);
    Some(Command { channel, sequence, acknowledge, unsequenced, body })
}

fn fragment_of<'a>(rest: &mut &'a [u8]) -> Option<Fragment<'a>> {
    let (start, len) = (u16_of(rest)?, u16_of(rest)?);
    let [count, number, total, offset] = [u32_of(rest)?, u32_of(rest)?, u32_of(rest)?, u32_of(rest)?];
    let bytes = split(rest, len)?;
    Some(Fragment { start, count, number, total, offset, bytes })
}

fn write_u16s<const N: usize>(out: &mut Vec<u8>, numbers: [u16; N]) {
    out.extend(numbers.into_iter().flat_map(u16::to_be_bytes));
}

fn write_u32s<const N: usize>(out: &mut Vec<u8>, numbers: [u32; N]) {
    out.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length_of(bytes).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What is sent is never longer than an MTU.
fn length_of(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn u16_of(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_be_bytes)
}

fn u32_of(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

fn bytes_of<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16_of(rest)?;
    split(rest, len)
}

fn split<'a>(rest: &mut &'a [u8], len: u16) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len.into())?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..1_400)
    }

    fn terms() -> impl Strategy<Value = Terms> {
        (any::<[u16; 1]>(), any::<[u8; 2]>(), any::<[u32; 9]>()).prop_map(|([peer], sessions, n)| Terms {
            peer,
            sessions,
            mtu: n[0],
            window: n[1],
            channels: n[2],
            bandwidth: [n[3], n[4]],
            throttle: ThrottleRates { interval_ms: n[5], acceleration: n[6], deceleration: n[7] },
            connect_id: n[8],
        })
    }

    /// Any command whose bytes are these.
    fn body<'a>(kind: u8, n: [u32; 4], terms: Terms, bytes: &'a [u8]) -> Body<'a> {
        let short = n[0] as u16;
        let fragment = Fragment { start: short, count: n[0], number: n[1], total: n[2], offset: n[3], bytes };
        match kind {
            1 => Body::Acknowledge { sequence: short, sent_time: n[1] as u16 },
            2 => Body::Connect { terms, data: n[0] },
            3 => Body::VerifyConnect(terms),
            4 => Body::Disconnect { data: n[0] },
            5 => Body::Ping,
            6 => Body::Reliable(bytes),
            7 => Body::Unreliable { number: short, bytes },
            8 => Body::Fragment(fragment),
            9 => Body::Unsequenced { group: short, bytes },
            10 => Body::BandwidthLimit([n[0], n[1]]),
            11 => Body::ThrottleConfigure(terms.throttle),
            _ => Body::UnreliableFragment(fragment),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            (peer, session, sent_time) in (0..=NO_PEER, 0..4_u8, any::<Option<u16>>()),
            commands in prop::collection::vec(
                (1..=12_u8, any::<u8>(), any::<u16>(), any::<[bool; 2]>(), any::<[u32; 4]>(), terms(), bytes()), 0..5),
            connect_id in any::<u32>(),
        ) {
            let header = Header { peer, session, sent_time };
            let (bytes, len) = header.bytes();
            let (mut datagram, mut tail) = (bytes[..len].to_vec(), Vec::new());
            let head = datagram.clone();
            let commands: Vec<_> = commands
                .iter()
                .map(|(kind, channel, sequence, flags, n, terms, bytes)| Command {
                    channel: *channel,
                    sequence: *sequence,
                    acknowledge: flags[0],
                    unsequenced: flags[1],
                    body: body(*kind, *n, *terms, bytes),
                })
                .collect();
            for command in &commands {
                let before = tail.len();
                command.write(&mut tail);
                prop_assert_eq!(tail.len() - before, command.len());
            }
            datagram.extend_from_slice(&checksum(&head, connect_id, &tail));
            datagram.extend_from_slice(&tail);
            let (read, rest) = Header::read(&datagram).unwrap();
            prop_assert_eq!(read, header);
            let rest = checked(&datagram, rest, connect_id).unwrap();
            let read: Result<Vec<_>, _> = Commands(rest).collect();
            prop_assert_eq!(read.unwrap(), commands);
            prop_assert_eq!(peer_id_of(&datagram), (peer != NO_PEER).then_some(peer));
            // A flipped bit anywhere, or another connection's id, does not pass.
            prop_assert!(checked(&datagram, Header::read(&datagram).unwrap().1, !connect_id).is_none());
            let at = head.len() + connect_id as usize % (datagram.len() - head.len());
            datagram[at] ^= 1 << (connect_id % 8);
            prop_assert!(checked(&datagram, &datagram[head.len()..], connect_id).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, rest)) = Header::read(&bytes) {
                prop_assert!(Commands(rest).count() <= bytes.len());
                let _ = checked(&bytes, rest, 7);
            }
            let _ = peer_id_of(&bytes);
        }
    }

    #[test]
    fn compressed_and_cut_datagrams_are_none() {
        assert_eq!(Header::read(&[0x40, 0]), None);
        assert_eq!(Header::read(&[0x80, 0, 1]), None);
        assert_eq!(peer_id_of(&[0x8F]), None);
        assert_eq!(peer_id_of(&[0x8F, 0xFF, 0, 0]), None);
        let cut: Vec<_> = Commands(&[6, 0, 0, 1, 0, 2, 9]).collect();
        assert_eq!(cut, [Err(NoCommand)]);
        let none: Vec<_> = Commands(&[0, 0, 0, 1]).collect();
        assert_eq!(none, [Err(NoCommand)]);
    }
}
