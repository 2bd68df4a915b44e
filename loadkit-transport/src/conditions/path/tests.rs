use loadkit_core::network::{Bursts, Line, Mtu, Profile, Queue, Reorder, Spread};
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn start() -> Instant {
    Instant::now()
}

/// Sends `count` datagrams that hold their numbers, so far apart, and takes what comes; the delay of each that came.
fn drive(path: &mut Path, count: u32, apart: Duration) -> Vec<(u32, Duration)> {
    let start = start();
    let mut came = Vec::new();
    let mut take = |path: &mut Path, until: Instant| {
        while let Some((at, bytes)) = path.poll(until) {
            let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            came.push((number, at - (start + apart * number)));
        }
    };
    for number in 0..count {
        let now = start + apart * number;
        take(path, now);
        path.send(now, &number.to_be_bytes());
    }
    take(path, start + apart * count + 60 * SECOND);
    assert!(path.is_empty() && path.deadline().is_none() && path.bytes() == 0);
    came
}

fn mean(delays: impl IntoIterator<Item = Duration>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for delay in delays {
        sum += delay.as_secs_f64();
        count += 1.0;
    }
    sum / count
}

#[track_caller]
fn near(actual: f64, expected: f64, within: f64) {
    assert!((actual / expected - 1.0).abs() < within, "{actual} is not near {expected}");
}

#[test]
fn nothing_changes_on_a_perfect_way() {
    let mut path = Path::new(Profile::perfect().up(), 1);
    let came = drive(&mut path, 1_000, MS);
    assert!(came.iter().enumerate().all(|(i, came)| *came == (i as u32, Duration::ZERO)));
    assert_eq!(*path.counts(), Counts { sent: 1_000, delivered: 1_000, ..Counts::default() });
}

#[test]
fn delays_and_losses_are_those_of_the_profile() {
    for profile in Profile::known().into_iter().skip(1) {
        for (way, direction) in [profile.up(), profile.down()].into_iter().enumerate() {
            // Behind one that is a second late others wait, which are then later than by their own jitter: so far apart
            // the tail of the wireless profile has them.
            let is_wild = profile.name() == "wifi-busy";
            let count = 400_000;
            let mut path = Path::new(direction, way as u64);
            let came = drive(&mut path, count, if is_wild { 2 * SECOND } else { SECOND / 20 });
            let line = direction.line.unwrap().time_for(4);
            let tolerance = if is_wild { 0.03 } else { 0.015 };
            near(mean(came.iter().map(|(_, delay)| *delay)), (direction.mean_delay() + line).as_secs_f64(), tolerance);
            let lost = path.counts().lost as f64 / f64::from(count);
            near(lost, direction.loss_rate(), 0.04);
            assert!(came.is_sorted_by_key(|(number, _)| *number), "only what is held back is overtaken");
        }
    }
}

#[test]
fn losses_come_in_bursts_as_gilbert_has_them() {
    let bursts = Bursts { worsens: 0.01, recovers: 0.2, loss_good: 0.0, loss_bad: 1.0 };
    let mut path = Path::new(&Direction { bursts: Some(bursts), ..Direction::default() }, 3);
    let count = 500_000;
    let came = drive(&mut path, count, MS);
    near(f64::from(count) - came.len() as f64, f64::from(count) * 0.01 / 0.21, 0.03);
    let gaps: Vec<f64> =
        came.windows(2).map(|pair| f64::from(pair[1].0 - pair[0].0 - 1)).filter(|gap| *gap > 0.0).collect();
    let bursts = gaps.len() as f64;
    // The lengths are geometric, with a mean of 1 / r.
    near(gaps.iter().sum::<f64>() / bursts, 5.0, 0.03);
    near(gaps.iter().filter(|gap| **gap == 1.0).count() as f64 / bursts, 0.2, 0.05);
    near(gaps.iter().filter(|gap| **gap > 10.0).count() as f64 / bursts, 0.8_f64.powi(10), 0.1);
}

#[test]
fn jitter_wanders_with_time() {
    let jitter = Jitter { spread: Spread::Uniform(10 * MS), wanders: 100 * MS };
    let way = Direction { latency: 50 * MS, jitter: Some(jitter), ..Direction::default() };
    // How much of one jitter's distance from the mean is in the next one's.
    let kept = |apart: Duration| {
        let delays: Vec<f64> =
            drive(&mut Path::new(&way, 9), 100_000, apart).iter().map(|came| came.1.as_secs_f64()).collect();
        near(delays.iter().sum::<f64>() / delays.len() as f64, 0.055, 0.01);
        let off = |delay: &f64| delay - 0.055;
        let both: f64 = delays.windows(2).map(|pair| off(&pair[0]) * off(&pair[1])).sum();
        both / delays.iter().map(|delay| off(delay).powi(2)).sum::<f64>()
    };
    // The correlation of uniform values that a normal correlation r leads to is 6/π asin(r/2).
    let expected = |time: f64| 6.0 / std::f64::consts::PI * ((-time).exp() / 2.0).asin();
    near(kept(100 * MS), expected(1.0), 0.05);
    near(kept(20 * MS), expected(0.2), 0.02);
    assert!(kept(2 * SECOND).abs() < 0.02);
}

#[test]
fn what_is_held_back_is_overtaken() {
    let way = Direction { latency: MS, reorder: Some(Reorder { share: 0.1, by: 25 * MS }), ..Direction::default() };
    let mut path = Path::new(&way, 4);
    let came = drive(&mut path, 20_000, 10 * MS);
    near(path.counts().reordered as f64, 2_000.0, 0.08);
    let held = came.iter().filter(|(_, delay)| *delay == 26 * MS).count() as u64;
    assert_eq!(held, path.counts().reordered);
    let overtaken = came.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(overtaken > 1_500, "{overtaken}");
}

#[test]
fn doubles_come_as_often_as_asked() {
    let mut path = Path::new(&Direction { duplicate: 0.05, ..Direction::default() }, 4);
    let came = drive(&mut path, 50_000, MS);
    near(path.counts().duplicated as f64, 2_500.0, 0.08);
    assert_eq!(came.len() as u64, 50_000 + path.counts().duplicated);
}

#[test]
fn a_line_carries_its_rate_and_its_queue_has_an_end() {
    // 1,250 bytes each, and so 10 ms on the line; twice as many as it carries.
    let line = |queue| Direction { line: Some(Line { bits_per_second: 1_000_000, queue }), ..Direction::default() };
    for queue in [Queue::Time(100 * MS), Queue::Bytes(12_500)] {
        let (mut path, start) = (Path::new(&line(queue), 1), start());
        for i in 0..2_000 {
            let now = start + 5 * MS * i;
            path.send(now, &[0; 1_222]);
            while let Some((at, _)) = path.poll(now) {
                assert!(at <= now);
            }
            assert!(path.len() <= 12, "{} under way", path.len());
        }
        let counts = *path.counts();
        assert_eq!(counts.delivered, 999, "one every 10 ms of 10 s");
        assert_eq!(counts.dropped_by_queue, 2_000 - 999 - path.len() as u64);
        assert_eq!(path.deadline(), Some(start + 10_000 * MS));
    }
}

#[test]
fn large_datagrams_are_dropped_or_counted() {
    for drops in [true, false] {
        let mut path = Path::new(&Direction { mtu: Some(Mtu { bytes: 1_228, drops }), ..Direction::default() }, 1);
        path.send(start(), &[0; 1_200]);
        path.send(start(), &[0; 1_201]);
        let counts = path.counts();
        assert_eq!((counts.dropped_by_mtu, counts.oversized), (u64::from(drops), u64::from(!drops)));
        assert_eq!(path.len(), if drops { 1 } else { 2 });
    }
}

#[test]
fn outages_take_all_that_is_sent_in_them() {
    let begin = start();
    let outages = Outages { every: SECOND, lasts: 100 * MS };
    let mut path = Path::new(&Direction::default(), 1).with_outages(outages, begin + 500 * MS);
    for i in 0..3_000 {
        let now = begin + MS * i;
        path.send(now, b"x");
        let is_out = i % 1_000 >= 500 && i % 1_000 < 600;
        assert_eq!(path.poll(now).is_none(), is_out, "{i}");
    }
    assert_eq!(path.counts().dropped_by_outage, 300);
}

#[test]
fn a_stream_is_late_and_whole() {
    let begin = start();
    let way = Direction {
        latency: 50 * MS,
        loss: 0.2,
        duplicate: 0.5,
        reorder: Some(Reorder { share: 0.5, by: SECOND }),
        mtu: Some(Mtu { bytes: 68, drops: true }),
        ..Direction::default()
    };
    let outages = Outages { every: 10 * SECOND, lasts: SECOND };
    let mut path = Path::new(&way, 1).of_stream().with_outages(outages, begin + 5 * SECOND);
    for i in 0..2_000_u32 {
        path.send(begin + 10 * MS * i, &[[0; 100].as_slice(), &i.to_be_bytes()].concat());
    }
    let (mut last, mut next) = (begin, 0_u32);
    while let Some((at, bytes)) = path.take() {
        assert_eq!(bytes[100..], next.to_be_bytes());
        assert!(at >= last && at >= begin + 10 * MS * next + 50 * MS);
        // The first outage is from 5 s to 6 s.
        assert!(!(at > begin + 5_050 * MS && at < begin + 6_050 * MS) || next < 500, "{next}");
        (last, next) = (at, next + 1);
    }
    assert_eq!(next, 2_000);
    let counts = path.counts();
    near(counts.lost as f64, 2_000.0 * 0.2 / 0.8, 0.1);
    assert_eq!((counts.dropped_by_outage, counts.duplicated, counts.reordered, counts.dropped_by_mtu), (200, 0, 0, 0));
    // Lost once, it is late by a round trip and 200 ms; the mean of many behind one another is more.
    let mut once = Path::new(&Direction { latency: 50 * MS, loss: 1.0, ..Direction::default() }, 1).of_stream();
    once.send(begin, b"x");
    assert_eq!(once.deadline(), Some(begin + 50 * MS + 300 * MS * 63), "six resends, and then it is through");
}

fn direction() -> impl Strategy<Value = Direction> {
    let ms = |max: u64| (0..max).prop_map(Duration::from_millis);
    let share = || prop_oneof![Just(0.0), 0.0..1.0_f64, Just(1.0)];
    let spread = prop_oneof![
        ms(100).prop_map(Spread::Uniform),
        ms(100).prop_map(Spread::Exponential),
        (ms(100), 0.0..3.0_f64).prop_map(|(median, sigma)| Spread::LogNormal { median, sigma }),
    ];
    let jitter = prop::option::of((spread, ms(500)).prop_map(|(spread, wanders)| Jitter { spread, wanders }));
    let bursts =
        prop::option::of([share(), share(), share(), share()].prop_map(|[worsens, recovers, loss_good, loss_bad]| {
            Bursts { worsens, recovers: recovers.max(0.01), loss_good, loss_bad }
        }));
    let reorder = prop::option::of((share(), ms(200)).prop_map(|(share, by)| Reorder { share, by }));
    let queue = prop_oneof![ms(500).prop_map(Queue::Time), (0..100_000_u64).prop_map(Queue::Bytes)];
    let line = prop::option::of(
        (1_000..100_000_000_u64, queue).prop_map(|(bits_per_second, queue)| Line { bits_per_second, queue }),
    );
    let mtu = prop::option::of((68..2_000_u16, any::<bool>()).prop_map(|(bytes, drops)| Mtu { bytes, drops }));
    (ms(300), jitter, share(), bursts, share(), reorder, line, mtu).prop_map(
        |(latency, jitter, loss, bursts, duplicate, reorder, line, mtu)| Direction {
            latency,
            jitter,
            loss,
            bursts,
            duplicate,
            reorder,
            line,
            mtu,
        },
    )
}

proptest! {
    #[test]
    fn bounds_hold_nothing_vanishes_and_the_same_seed_does_the_same(
        direction in direction(),
        seed in any::<u64>(),
        steps in prop::collection::vec((0..50_u64, 0..2_000_usize, any::<bool>()), 1..300),
        is_stream in any::<bool>(),
        // Kernel stamps lie a little in the past.
        earlier in 0..5_u64,
    ) {
        let outages = Outages { every: SECOND, lasts: SECOND / 4 };
        let begin = start() + SECOND;
        let play = || {
            let mut path = Path::new(&direction, seed).with_outages(outages, begin + MS * 100);
            if is_stream {
                path = path.of_stream();
            }
            let (mut now, mut trace, mut last) = (begin, Vec::new(), begin - MS * 5);
            for (wait, len, polls) in &steps {
                now += MS * (*wait as u32);
                path.send(now - MS * (earlier as u32), &vec![7; *len]);
                prop_assert!(path.len() <= MAX_DATAGRAMS + 1 && path.bytes() <= MAX_BYTES + 2 * len);
                if *polls {
                    while let Some((at, bytes)) = path.poll(now) {
                        prop_assert!(at <= now && (at >= last || !is_stream));
                        last = at;
                        trace.push((at - begin, bytes.len()));
                    }
                }
                prop_assert!(path.deadline().is_none_or(|due| due > now || !polls));
            }
            let under_way = path.len() as u64;
            let counts = *path.counts();
            let gone = counts.lost * u64::from(!is_stream)
                + counts.dropped_by_queue
                + counts.dropped_by_mtu
                + counts.dropped_by_outage * u64::from(!is_stream);
            prop_assert_eq!(counts.sent + counts.duplicated, counts.delivered + gone + under_way);
            while let Some((at, bytes)) = path.take() {
                trace.push((at.saturating_duration_since(begin), bytes.len()));
            }
            prop_assert_eq!(path.counts().delivered, counts.delivered + under_way);
            prop_assert!(path.under_way.capacity() == 0 && path.bytes() == 0, "idle it holds nothing");
            Ok((trace, counts))
        };
        prop_assert_eq!(play()?, play()?);
    }
}

#[test]
fn a_flood_meets_the_bound() {
    let mut path = Path::new(&Direction { latency: SECOND, duplicate: 0.5, ..Direction::default() }, 1);
    let now = start();
    for _ in 0..2 * MAX_DATAGRAMS {
        path.send(now, b"x");
    }
    assert!(path.len() <= MAX_DATAGRAMS + 1, "{}", path.len());
    assert!(path.counts().dropped_by_queue > 4_000);
    let mut path = Path::new(&Direction { latency: SECOND, ..Direction::default() }, 1);
    let large = vec![0; 60_000];
    for _ in 0..200 {
        path.send(now, &large);
    }
    assert!(path.bytes() < MAX_BYTES + 60_000 && path.counts().dropped_by_queue > 100);
}
