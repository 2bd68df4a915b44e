//! `Vec<Snapshot> -> Parcel -> texts that a queue takes`, and back.
//!
//! A parcel is what a worker has gathered since the last one. **Its key (run, worker, attempt, number, piece) makes it
//! harmless twice**, and stands in plain text before its bytes, so that the collector stores it without opening it:
//!
//! ```text
//! lk1.<run>.<worker>.<attempt>.<number>.<slot>.<piece>.<pieces>.<base64 of zlib of MessagePack>
//! ```

use std::fmt;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use loadkit_core::{PackedDelta, RunId, Snapshot};
use serde::de::DeserializeOwned;

/// What stands first; another number is another format.
const MAGIC: &str = "lk1";
/// No text is longer. Queues take 256 KiB everywhere, and several in a batch count together.
pub const MAX_TEXT: usize = 200_000;
/// Bytes of a piece: what is left of a text after base64.
const MAX_PIECE: usize = (MAX_TEXT - 200) / 4 * 3;
/// No parcel has more pieces. Fewer in tests, where so many would take minutes to fill.
const MAX_PIECES: u32 = if cfg!(test) { 10 } else { 64 };
/// No parcel holds more when it is unpacked.
const MAX_UNPACKED: u64 = 64 << 20;
/// A slot is so much time of the run: what lies together in the store.
const SLOT: Duration = Duration::from_secs(10);

/// A piece of what a worker sends at a time. Most parcels have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The run.
    pub run: RunId,
    /// The worker.
    pub worker: u32,
    /// Its attempt.
    pub attempt: u32,
    /// Counts the attempt's parcels, from 0.
    pub number: u32,
    /// Which ten seconds of the run its figures end in.
    pub slot: u32,
    /// Which piece of the parcel this is, from 0.
    pub piece: u32,
    /// How many there are.
    pub pieces: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a text is no parcel, or its bytes hold no snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParcelError(String);

impl fmt::Display for ParcelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no parcel of a worker: {}", self.0)
    }
}

impl std::error::Error for ParcelError {}

fn bad(why: impl fmt::Display) -> ParcelError {
    ParcelError(why.to_string())
}

impl Parcel {
    /// As text for a queue.
    pub fn to_text(&self) -> String {
        let Parcel { run, worker, attempt, number, slot, piece, pieces, bytes } = self;
        let mut text = format!("{MAGIC}.{run}.{worker}.{attempt}.{number}.{slot}.{piece}.{pieces}.");
        STANDARD_NO_PAD.encode_string(bytes, &mut text);
        text
    }

    /// Reads a text from a queue.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn parse(text: &str) -> Result<Parcel, ParcelError> {
        if text.len() > MAX_TEXT {
            return Err(bad(format_args!("it has {} bytes, and none has more than {MAX_TEXT}", text.len())));
        }
        let mut fields = text.splitn(9, '.');
        let mut field = || fields.next().ok_or_else(|| bad("it ends within its key"));
        let magic = field()?;
        if magic != MAGIC {
            let magic: String = magic.chars().take(20).collect();
            return Err(bad(format_args!("it begins with {magic:?} in place of {MAGIC:?}")));
        }
        let run = RunId(u64::from_str_radix(field()?, 16).map_err(bad)?);
        let mut number = || field()?.parse::<u32>().map_err(bad);
        let (worker, attempt, number_, slot, piece, pieces) =
            (number()?, number()?, number()?, number()?, number()?, number()?);
        if pieces == 0 || pieces > MAX_PIECES || piece >= pieces {
            return Err(bad(format_args!("piece {piece} of {pieces}")));
        }
        let bytes = STANDARD_NO_PAD.decode(field()?).map_err(bad)?;
        Ok(Parcel { run, worker, attempt, number: number_, slot, piece, pieces, bytes })
    }

    /// Opens a parcel: the bytes of all its pieces, in order.
    ///
    /// # Errors
    /// If they hold no snapshots.
    pub fn open(bytes: &[u8]) -> Result<Vec<Snapshot>, ParcelError> {
        Parcel::unpack(bytes)
    }

    /// The same, for whoever only adds its figures up: distributions stay as they came.
    ///
    /// # Errors
    /// If they hold no snapshots.
    pub fn open_packed(bytes: &[u8]) -> Result<Vec<Snapshot<PackedDelta>>, ParcelError> {
        Parcel::unpack(bytes)
    }

    fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParcelError> {
        let mut raw = Vec::new();
        ZlibDecoder::new(bytes).take(MAX_UNPACKED + 1).read_to_end(&mut raw).map_err(bad)?;
        if raw.len() as u64 > MAX_UNPACKED {
            return Err(bad(format_args!("it unpacks to more than {MAX_UNPACKED} bytes")));
        }
        rmp_serde::from_slice(&raw).map_err(bad)
    }
}

/// Packs an attempt's parcels and counts them.
#[derive(Clone, Debug)]
pub struct Parcels {
    run: RunId,
    worker: u32,
    attempt: u32,
    next: u32,
}

impl Parcels {
    /// Of this attempt, from its first.
    pub fn new(run: RunId, worker: u32, attempt: u32) -> Parcels {
        Parcels { run, worker, attempt, next: 0 }
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.next
    }

    /// Packs the next one. None if there is nothing to pack.
    ///
    /// # Errors
    /// If it is longer than all its pieces may be: then its snapshots are lost, and have to be counted as such.
    pub fn pack(&mut self, snapshots: &[Snapshot]) -> Result<Vec<Parcel>, ParcelError> {
        let Some(last_us) = snapshots.iter().map(|snapshot| snapshot.to_us).max() else { return Ok(Vec::new()) };
        let raw = rmp_serde::to_vec_named(snapshots).map_err(bad)?;
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
        let bytes = packer.write_all(&raw).and_then(|()| packer.finish()).map_err(bad)?;
        let pieces = u32::try_from(bytes.len().div_ceil(MAX_PIECE)).unwrap_or(u32::MAX);
        if pieces > MAX_PIECES {
            return Err(bad(format_args!("{} bytes are more than {MAX_PIECES} pieces hold", bytes.len())));
        }
        let slot = u32::try_from(u128::from(last_us.saturating_sub(1)) / SLOT.as_micros()).unwrap_or(u32::MAX);
        let (run, worker, attempt, number) = (self.run, self.worker, self.attempt, self.next);
        self.next += 1;
        let of = |(piece, bytes): (u32, &[u8])| {
            let bytes = bytes.to_vec();
            Parcel { run, worker, attempt, number, slot, piece, pieces, bytes }
        };
        Ok((0..).zip(bytes.chunks(MAX_PIECE)).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use loadkit_core::{HistogramDelta, SnapshotKey, StepDelta};
    use proptest::prelude::*;

    use super::*;

    fn snapshot(seq: u64, steps: usize, buckets: u64) -> Snapshot {
        let key = SnapshotKey { run: RunId(9), worker: 3, shard: 0, attempt: 1, seq };
        let mut snapshot = Snapshot::empty(key, seq * 1_000_000, (seq + 1) * 1_000_000);
        let spread = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        for step in 0..steps {
            let buckets = (0..buckets).map(|i| (spread(i + seq), spread(i * 7 + step as u64))).collect();
            let response = HistogramDelta { buckets, ..HistogramDelta::default() };
            snapshot.steps.push((format!("step {step}"), StepDelta { response, ..StepDelta::default() }));
        }
        snapshot
    }

    fn there_and_back(snapshots: &[Snapshot]) -> (Vec<Snapshot>, usize) {
        let mut parcels = Parcels::new(RunId(9), 3, 1);
        let pieces = parcels.pack(snapshots).unwrap();
        let texts: Vec<String> = pieces.iter().map(Parcel::to_text).collect();
        assert!(texts.iter().all(|text| text.len() <= MAX_TEXT));
        let read: Vec<Parcel> = texts.iter().map(|text| Parcel::parse(text).unwrap()).collect();
        assert_eq!(read, pieces);
        let bytes: Vec<u8> = read.into_iter().flat_map(|piece| piece.bytes).collect();
        let packed: Vec<_> = snapshots.iter().map(Snapshot::packed).collect();
        assert_eq!(Parcel::open_packed(&bytes).unwrap(), packed);
        (Parcel::open(&bytes).unwrap(), texts.len())
    }

    #[test]
    fn what_was_packed_comes_out() {
        let snapshots: Vec<Snapshot> = (0..4).map(|seq| snapshot(seq, 5, 40)).collect();
        assert_eq!(there_and_back(&snapshots), (snapshots, 1));
    }

    #[test]
    fn what_does_not_fit_a_message_goes_in_several() {
        let snapshots = [snapshot(11, 40, 2_000)];
        let (back, texts) = there_and_back(&snapshots);
        assert_eq!(back, snapshots);
        assert!(texts > 1, "{texts}");
        let mut parcels = Parcels::new(RunId(9), 3, 1);
        assert!(parcels.pack(&snapshots).unwrap().iter().all(|piece| piece.slot == 1 && piece.number == 0));
        assert_eq!((parcels.pack(&[]).unwrap().len(), parcels.count()), (0, 1));
    }

    #[test]
    fn a_bad_text_says_what_is_wrong() {
        for (text, why) in [
            ("", "begins with"),
            ("lk2.1.2.3.4.5.0.1.", "begins with \"lk2\""),
            ("lk1.1.2", "ends within its key"),
            ("lk1.1.2.3.4.5.1.1.", "piece 1 of 1"),
            ("lk1.1.2.3.4.5.0.1.???", "symbol"),
            ("lk1.1.2.3.4.-5.0.1.", "digit"),
        ] {
            let error = Parcel::parse(text).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(why), "{text}: {error}");
        }
        let bomb = {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
            let zeros = vec![0; 1 << 20];
            (0..65).for_each(|_| packer.write_all(&zeros).unwrap());
            packer.finish().unwrap()
        };
        assert!(Parcel::open(&bomb).unwrap_err().to_string().contains("unpacks to more"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
            let _ = Parcel::open(&bytes);
            let _ = Parcel::parse(&text);
            let _ = Parcel::parse(&format!("lk1.1.2.3.4.5.0.1.{text}"));
        }
    }
}
