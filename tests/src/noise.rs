//! Recorded noise, and a thousand pairs of runs drawn from it: what the gate is proved with.
//!
//! A tape is what `record_noise` has recorded of an arena: every second's response times, by step. It is stored with
//! buckets of 3 %, whose values are spread evenly when it is read, so that a second takes 200 bytes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use loadkit::core::gate::{Compared, Decision, Figure, Gate, GateOptions, GateRun, compare, compare_paired};
use loadkit::core::{HistogramDelta, Rng, Seed, SeriesStep, Verdict};

/// Each bucket's bound is so much above the one before.
const BUCKET: f64 = 1.03;
/// What stands at the beginning of a tape.
const MAGIC: &[u8] = b"loadkit-noise/1\n";
/// Nothing that is read may be longer: a tape is some hundred kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// A run's seconds, by step.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// As many seconds for each step.
    pub steps: BTreeMap<String, Vec<SeriesStep>>,
}

impl Tape {
    /// The tape as bytes.
    ///
    /// # Errors
    /// As the compressor has them.
    pub fn write(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        put(&mut raw, self.steps.len() as u64);
        for (name, seconds) in &self.steps {
            put(&mut raw, name.len() as u64);
            raw.extend_from_slice(name.as_bytes());
            put(&mut raw, seconds.len() as u64);
            for second in seconds {
                let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
                for &(value, count) in &second.response.buckets {
                    *buckets.entry((value.max(1) as f64).log(BUCKET) as u64).or_default() += count;
                }
                put(&mut raw, second.failed);
                put(&mut raw, buckets.len() as u64);
                let mut before = 0;
                for (bucket, count) in buckets {
                    put(&mut raw, bucket - before);
                    put(&mut raw, count);
                    before = bucket;
                }
            }
        }
        let mut packer = flate2::write::ZlibEncoder::new(MAGIC.to_vec(), flate2::Compression::best());
        packer.write_all(&raw)?;
        packer.finish()
    }

    /// Reads a tape. `None` if it is none, or is cut short.
    pub fn read(bytes: &[u8]) -> Option<Tape> {
        let mut raw = Vec::new();
        let packed = flate2::read::ZlibDecoder::new(bytes.strip_prefix(MAGIC)?);
        packed.take(MAX_BYTES).read_to_end(&mut raw).ok()?;
        let mut rest = raw.as_slice();
        let mut tape = Tape::default();
        for _ in 0..take(&mut rest)? {
            let length = usize::try_from(take(&mut rest)?).ok()?;
            let (name, behind) = rest.split_at_checked(length)?;
            rest = behind;
            let mut seconds = Vec::new();
            for _ in 0..take(&mut rest)? {
                let failed = take(&mut rest)?;
                let (mut buckets, mut bucket) = (BTreeMap::new(), 0);
                for _ in 0..take(&mut rest)? {
                    bucket += take(&mut rest)?;
                    spread(bucket, take(&mut rest)?, &mut buckets);
                }
                let response = HistogramDelta { buckets: buckets.into_iter().collect(), ..HistogramDelta::default() };
                seconds.push(SeriesStep { response, failed });
            }
            tape.steps.insert(String::from_utf8(name.to_vec()).ok()?, seconds);
        }
        Some(tape)
    }

    /// How many seconds it has.
    pub fn seconds(&self) -> usize {
        self.steps.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The run of these seconds, with the response times of a step so many times as long.
    pub fn run(&self, seconds: &[usize], slow: Option<(&str, f64)>) -> GateRun {
        let of = |(name, all): (&String, &Vec<SeriesStep>)| {
            let factor = slow.filter(|(step, _)| step == name).map_or(1.0, |(_, factor)| factor);
            let mut picked: Vec<SeriesStep> = seconds.iter().filter_map(|&i| all.get(i).cloned()).collect();
            if factor != 1.0 {
                let times = picked.iter_mut().flat_map(|second| &mut second.response.buckets);
                times.for_each(|(value, _)| *value = (*value as f64 * factor).round() as u64);
            }
            (name.clone(), picked)
        };
        let all = Duration::from_secs(seconds.len() as u64);
        GateRun::new("a run", Duration::from_secs(1), self.steps.iter().map(of), Duration::ZERO, all)
    }

    /// So many seconds, in whole stretches of the tape, as if its end went on at its beginning.
    pub fn draw(&self, seconds: usize, stretch: usize, rng: &mut Rng) -> Vec<usize> {
        use rand::RngExt as _;
        let all = self.seconds().max(1);
        let mut drawn = Vec::with_capacity(seconds + stretch);
        while drawn.len() < seconds {
            let from = rng.random_range(0..all);
            drawn.extend((from..from + stretch).map(|i| i % all));
        }
        drawn.truncate(seconds);
        drawn
    }
}

fn put(raw: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        raw.push(number as u8 | 0x80);
        number >>= 7;
    }
    raw.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Puts the values of a bucket evenly between its bounds.
fn spread(bucket: u64, count: u64, into: &mut BTreeMap<u64, u64>) {
    let low = BUCKET.powf(bucket as f64);
    let width = low * (BUCKET - 1.0);
    // So many different values are enough to be even.
    let places = count.min(64);
    for i in 0..places {
        let value = (low + width * (i as f64 + 0.5) / places as f64) as u64;
        *into.entry(value).or_default() += count / places + u64::from(i < count % places);
    }
}

/// A kind of pair: how long, drawn in which stretches, and by how much the second is slowed.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The length of both runs, seconds.
    pub seconds: usize,
    /// Drawn in stretches of so many seconds, so that the noise keeps what hangs together.
    pub stretch: usize,
    /// The response times of `tick` are multiplied by this to see whether that is found.
    pub slower: f64,
    /// Both sides have the same seconds of two tapes that were recorded at the same time.
    pub paired: bool,
    /// Each false alarm is told on standard error, with its reasons.
    pub told: bool,
}

/// What came of many pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// How many there were.
    pub pairs: u32,
    /// FAIL without cause.
    pub false_alarms: u32,
    /// INVALID without cause: not enough data.
    pub unsure: u32,
    /// The slower p95 was found.
    pub found: u32,
    /// The slower build was: FAIL, by whichever figure.
    pub failed: u32,
    /// The rule "p95 more than 5 % up fails", without cause and with.
    pub naive_5: [u32; 2],
    /// The rule with 10 %.
    pub naive_10: [u32; 2],
}

impl Score {
    fn add(&mut self, other: Score) {
        self.pairs += other.pairs;
        self.false_alarms += other.false_alarms;
        self.unsure += other.unsure;
        self.found += other.found;
        self.failed += other.failed;
        for i in 0..2 {
            self.naive_5[i] += other.naive_5[i];
            self.naive_10[i] += other.naive_10[i];
        }
    }
}

/// Draws pairs from a tape, or from two that belong together, and asks the gate and the naive rules. On all cores.
pub fn score(old: &Tape, new: &Tape, trial: Trial, pairs: u32) -> Score {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let share = |core: u32| -> Vec<Score> {
        (core..pairs).step_by(cores as usize).map(|pair| judge(old, new, trial, pair)).collect()
    };
    let mut score = Score::default();
    std::thread::scope(|scope| {
        let share = &share;
        let shares: Vec<_> = (0..cores).map(|core| scope.spawn(move || share(core))).collect();
        shares.into_iter().filter_map(|share| share.join().ok()).flatten().for_each(|one| score.add(one));
    });
    score
}

/// One pair.
fn judge(old: &Tape, new: &Tape, trial: Trial, pair: u32) -> Score {
    let options = GateOptions::default();
    let mut rng = Seed(u64::from(pair)).rng("pair", trial.seconds as u64, trial.stretch as u64);
    let seconds = old.draw(trial.seconds, trial.stretch, &mut rng);
    let others = if trial.paired { seconds.clone() } else { new.draw(trial.seconds, trial.stretch, &mut rng) };
    let base = old.run(&seconds, None);
    let ask = |candidate: &GateRun| match trial.paired {
        true => compare_paired(&base, candidate, &options),
        false => compare(std::slice::from_ref(&base), std::slice::from_ref(candidate), &options),
    };
    let (same, slow) = (new.run(&others, None), new.run(&others, Some(("tick", trial.slower))));
    let (gate, slower) = (ask(&same), ask(&slow));
    if trial.told && gate.verdict == Verdict::Fail {
        eprintln!("pair {pair}: {}", gate.reasons.join("; "));
    }
    let before = plain_p95(&base);
    let naive = |limit: f64| [&same, &slow].map(|run| u32::from(plain_p95(run) / before - 1.0 > limit));
    Score {
        pairs: 1,
        false_alarms: u32::from(gate.verdict == Verdict::Fail),
        unsure: u32::from(gate.verdict == Verdict::Invalid),
        found: u32::from(p95_of_tick(&slower).is_some_and(|one| one.decision == Decision::Worse)),
        failed: u32::from(slower.verdict == Verdict::Fail),
        naive_5: naive(0.05),
        naive_10: naive(0.10),
    }
}

fn p95_of_tick(gate: &Gate) -> Option<&Compared> {
    gate.figures.iter().find(|one| one.step == "tick" && one.figure == Figure::P95)
}

/// As a report has it.
fn plain_p95(run: &GateRun) -> f64 {
    let all = run.steps.get("tick").into_iter().flatten().flat_map(|second| &second.response.buckets);
    let mut all: Vec<(u64, u64)> = all.copied().collect();
    all.sort_unstable();
    let mut left = all.iter().map(|(_, count)| count).sum::<u64>() * 95 / 100;
    let reached = all.iter().find(|(_, count)| {
        let here = left <= *count;
        left = left.saturating_sub(*count);
        here
    });
    reached.map_or(0.0, |(value, _)| *value as f64)
}
