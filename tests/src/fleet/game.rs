//! A game that nobody plays: six steps whose times have tails and follow the time of day, failures, and the kit's own health.
//!
//! The times are drawn once and dealt out again and again, so that a day of a thousand workers is made in nine minutes; a
//! window of all of them has as many buckets as that of a true run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadkit::core::{
    FailureSample, GaugeDelta, Histogram, HistogramDelta, Rng, Seed, Snapshot, StepDelta, TrendDelta, TrendUnit, names,
};
use rand::RngExt as _;

/// A step: its name, its median, µs, what it is longer than that with a chance of one in a hundred, and how many of a million
/// fail.
type Played = (&'static str, f64, f64, u64);

const STEPS: [Played; 6] = [
    ("login", 42_000.0, 5.0, 900),
    ("matchmake", 160_000.0, 8.0, 2_500),
    ("join", 21_000.0, 4.0, 400),
    ("move", 9_000.0, 3.0, 20),
    ("buy", 33_000.0, 6.0, 1_200),
    ("leave", 12_000.0, 3.0, 100),
];
/// How a step fails.
const KINDS: [&str; 4] = ["timed-out", "refused", "bad-reply", "closed"];
/// The kit's own figures of this kind, and their medians, µs.
const TRENDS: [(&str, f64); 5] = [
    (names::TICK_LAG, 90.0),
    (names::WAKE_LAG, 60.0),
    (names::START_LAG, 120.0),
    (names::SEND_LAG, 40.0),
    (names::LONG_TURNS, 700.0),
];
/// Parts of a day in which times are drawn anew.
const PARTS: u64 = 48;
/// Draws of each.
const DRAWS: u64 = 384;
/// Times of a draw: what a worker tells of a step at once.
const TIMES: usize = 8;

/// A game that nobody plays.
#[derive(Debug)]
pub struct Game {
    /// By step, part of the day and draw.
    drawn: Vec<HistogramDelta>,
    /// By trend and draw.
    lags: Vec<HistogramDelta>,
    /// Everything changes all the time.
    is_wild: AtomicBool,
}

impl Default for Game {
    fn default() -> Game {
        let mut rng = Seed(24).rng("game", 0, 0);
        let mut drawn = Vec::new();
        for (_, median, tail, _) in STEPS {
            for part in 0..PARTS {
                // The evening is the busiest: half as slow again.
                let hour = part as f64 / PARTS as f64 * std::f64::consts::TAU;
                let busy = 1.25 - 0.25 * hour.cos();
                drawn.extend((0..DRAWS).map(|_| draw(&mut rng, median * busy, tail)));
            }
        }
        let mut lags = Vec::new();
        for (_, median) in TRENDS {
            lags.extend((0..DRAWS).map(|_| draw(&mut rng, median, 4.0)));
        }
        Game { drawn, lags, is_wild: AtomicBool::new(false) }
    }
}

/// Times around a median, of which one in a hundred is so much longer: log-normal.
fn draw(rng: &mut Rng, median: f64, tail: f64) -> HistogramDelta {
    let sigma = tail.ln() / 2.326;
    let mut times = Histogram::new();
    for _ in 0..TIMES {
        // The sum of twelve has the variance of one.
        let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        times.record((median * (sigma * normal).exp()) as u64);
    }
    times.to_delta()
}

impl Game {
    /// From now on everything changes all the time; or not any more.
    pub fn be_wild(&self, is_wild: bool) {
        self.is_wild.store(is_wild, Ordering::Relaxed);
    }

    /// Fills in what a worker saw in the snapshot's time. Its planned players stand there.
    pub(super) fn play(&self, snapshot: &mut Snapshot) {
        let (worker, seq) = (u64::from(snapshot.key.worker), snapshot.key.seq);
        let is_wild = self.is_wild.load(Ordering::Relaxed);
        let mix = (worker * 31).wrapping_add(seq * 17);
        let away = if is_wild { mix % 40 } else { u64::from((worker + seq).is_multiple_of(97)) };
        snapshot.active = snapshot.planned.saturating_sub(away);
        snapshot.connected = snapshot.active.saturating_sub(away / 2);
        let part = snapshot.from_us / 1_800_000_000 % PARTS;
        let wide_s = (snapshot.to_us - snapshot.from_us).div_ceil(1_000_000);
        for (nth, (name, _, _, failing)) in (0..).zip(STEPS) {
            let times = self.drawn.get(((nth * PARTS + part) * DRAWS + (mix + nth * 5) % DRAWS) as usize);
            let Some(times) = times else { continue };
            let mut step = StepDelta { service: times.clone(), response: times.clone(), ..StepDelta::default() };
            // One in so many snapshots tells of a failure, so that the share is right.
            let chance = failing * wide_s * if is_wild { 500 } else { 1 };
            if (mix * 7_919 + nth * 104_729) % 40_000 < chance {
                let kind = KINDS[(mix % 4) as usize];
                step.failures.push((kind.to_owned(), 1));
                snapshot.samples.push(FailureSample {
                    at_us: snapshot.from_us + mix % 1_000_000,
                    seat: worker * 100 + mix % 100,
                    step: name.to_owned(),
                    kind: kind.to_owned(),
                    message: format!("the server at 127.0.0.1:4000 did not do it: {kind}"),
                });
            }
            snapshot.steps.push((name.to_owned(), step));
        }
        for (nth, (name, _)) in (0..).zip(TRENDS) {
            let Some(values) = self.lags.get((nth * DRAWS + (mix + nth) % DRAWS) as usize) else { continue };
            let trend = TrendDelta { unit: TrendUnit::Micros, values: values.clone() };
            snapshot.trends.push((name.to_owned(), trend));
        }
        let at = Duration::from_micros(snapshot.to_us);
        let gauges = [
            (names::CPU, 0.4 + (mix % 100) as f64 / 250.0),
            (names::CPU_OTHERS, 0.1),
            (names::CPU_STOLEN, (mix % 7) as f64 / 100.0),
            (names::MEMORY, 2e8 + (mix % 1_000) as f64 * 1e4),
            (names::DESCRIPTORS, 100.0 + (mix % 30) as f64),
        ];
        snapshot.gauges.extend(gauges.map(|(name, value)| (name.to_owned(), GaugeDelta::new(value, at))));
        let counts = [(names::TICKS, snapshot.active * 20 * wide_s), (names::TICKS_BEHIND, mix % 3)];
        snapshot.counts.extend(counts.map(|(name, count)| (name.to_owned(), count)));
    }
}
