use super::*;
use crate::seed::Seed;
use crate::segment::Segment;
use proptest::prelude::*;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}

fn shape(stages: &[Stage]) -> Shape {
    Shape::new(stages.iter().copied(), None).unwrap()
}

fn all(shape: &Shape) -> Vec<Event> {
    shape.events(Seed(1), Segment::WHOLE, 1).collect()
}

/// Events in short: (milliseconds, seat, the kind's first letter).
fn short(shape: &Shape) -> Vec<(u64, u64, char)> {
    let letter = |kind| match kind {
        EventKind::Join => 'j',
        EventKind::Leave => 'l',
        EventKind::Arrive => 'a',
    };
    all(shape).iter().map(|e| (e.at.as_millis() as u64, e.seat, letter(e.kind))).collect()
}

#[test]
fn ramps_go_up_and_down() {
    let shape = shape(&[Stage::ramp(3, secs(3)), Stage::hold(secs(2)), Stage::ramp(1, secs(2))]);
    let expected = [(0, 0, 'j'), (1000, 1, 'j'), (2000, 2, 'j'), (6000, 2, 'l'), (7000, 1, 'l')];
    assert_eq!(short(&shape), expected);
    assert_eq!([0, 1, 2, 5, 6].map(|s| shape.population(secs(s))), [1, 2, 3, 3, 2]);
    assert_eq!(shape.population(secs(7)), 0, "the end: the engine asks all to leave");
    assert_eq!((shape.duration(), shape.peak(), shape.seats(), shape.starts()), (secs(7), 3, 3, 3));
}

#[test]
fn spikes_fall_back_and_steps_after_them_take_over() {
    let back = shape(&[Stage::step(1, secs(1)), Stage::spike(3, secs(1)), Stage::hold(secs(1))]);
    let expected = [(0, 0, 'j'), (1000, 1, 'j'), (1000, 2, 'j'), (2000, 2, 'l'), (2000, 1, 'l')];
    assert_eq!(short(&back), expected);
    let over = shape(&[Stage::step(1, secs(1)), Stage::spike(3, secs(1)), Stage::step(2, secs(1))]);
    assert_eq!(short(&over), [(0, 0, 'j'), (1000, 1, 'j'), (1000, 2, 'j'), (2000, 2, 'l')]);
    let end = shape(&[Stage::spike(2, secs(1))]);
    assert_eq!(short(&end), [(0, 0, 'j'), (0, 1, 'j')]);
    let dip = shape(&[Stage::step(2, secs(1)), Stage::spike(1, secs(1)), Stage::hold(secs(1))]);
    assert_eq!(short(&dip), [(0, 0, 'j'), (0, 1, 'j'), (1000, 1, 'l'), (2000, 1, 'j')]);
    assert_eq!((dip.starts(), dip.seats()), (3, 2));
}

#[test]
fn arrivals_take_seats_after_the_population() {
    let shape = shape(&[Stage::step(2, secs(1)), Stage::arrivals(rate("2/s"), secs(1)), Stage::hold(secs(1))]);
    assert_eq!(short(&shape), [(0, 0, 'j'), (0, 1, 'j'), (1000, 2, 'a'), (1500, 3, 'a')]);
    assert_eq!((shape.peak(), shape.arrivals(), shape.seats()), (2, 2, 4));
    assert_eq!(
        [999, 1000, 1499, 1500, 9000].map(|ms| shape.planned_started(Duration::from_millis(ms))),
        [2, 3, 3, 4, 4]
    );
    assert_eq!(shape.population(Duration::from_millis(2500)), 2);
}

#[test]
fn gaps_hold_and_explicit_starts_count_from_the_run() {
    let shape = shape(&[
        Stage::step(1, secs(1)).at(secs(2)),
        Stage::spike(2, secs(1)).at(secs(5)),
        Stage::hold(secs(1)).at(secs(8)),
    ]);
    assert_eq!(short(&shape), [(2000, 0, 'j'), (5000, 1, 'j'), (6000, 1, 'l')]);
    assert_eq!([0, 2, 4, 5, 6, 8].map(|s| shape.population(secs(s))), [0, 1, 1, 2, 1, 1]);
    assert_eq!(shape.duration(), secs(9));
    let starts: Vec<Duration> = shape.stages().map(|(at, _)| at).collect();
    assert_eq!(starts, [secs(2), secs(5), secs(8)]);
}

#[test]
fn a_total_cuts_off_the_last_arrivals() {
    let stages =
        [Stage::step(5, secs(1)), Stage::arrivals(rate("4/s"), secs(1)), Stage::arrivals(rate("4/s"), secs(1))];
    let shape = Shape::new(stages, Some(11)).unwrap();
    assert_eq!((shape.arrivals(), shape.starts(), shape.seats()), (6, 11, 11));
    assert_eq!(all(&shape).len(), 11);
    assert_eq!(Shape::new(stages, Some(5)).unwrap().arrivals(), 0);
    let error = Shape::new(stages, Some(4)).unwrap_err();
    assert_eq!(error.faults()[0].part(), StagePart::Total);
}

#[test]
fn a_lower_total_keeps_what_it_does_not_cut() {
    let stage = Stage::arrivals(rate("100/s"), secs(2)).poisson();
    let whole = all(&Shape::new([stage], None).unwrap());
    let cut = all(&Shape::new([stage], Some(70)).unwrap());
    assert_eq!((whole.len(), &whole[..70]), (200, &cut[..]));
}

#[test]
fn poisson_follows_the_rate_and_the_seed() {
    let stage = Stage::arrivals_between(rate("0/s"), rate("2000/s"), secs(10)).poisson();
    let shape = shape(&[stage]);
    let events = all(&shape);
    assert_eq!(events.len(), 10_000);
    // Of a rate that rises from nothing, a quarter comes in the first half.
    let half = events.iter().filter(|e| e.at < secs(5)).count();
    assert!((2_300..2_700).contains(&half), "{half}");
    assert_eq!(shape.planned_started(secs(5)), 2_501);
    assert_eq!(events, all(&shape));
    let other: Vec<Event> = shape.events(Seed(2), Segment::WHOLE, 1).collect();
    assert_ne!(events, other);
}

#[test]
fn what_is_wrong_is_said_for_every_stage() {
    let day = secs(86_400);
    type Wrong<'a> = (Option<usize>, StagePart, &'a str);
    let table: [(&[Stage], &[Wrong<'_>]); 12] = [
        (&[], &[(None, StagePart::Kind, "no stage brings a player")]),
        (&[Stage::hold(secs(1))], &[(None, StagePart::Kind, "no stage brings a player")]),
        (&[Stage::ramp(0, secs(1))], &[(Some(0), StagePart::Kind, "ramp goes to nothing")]),
        (&[Stage::step(0, secs(1))], &[(Some(0), StagePart::Kind, "step goes to nothing")]),
        (&[Stage::spike(0, secs(1))], &[(Some(0), StagePart::Kind, "spike goes to nothing")]),
        (&[Stage::ramp(5, secs(0))], &[(Some(0), StagePart::Over, "lasts no time")]),
        (
            &[Stage::step(1, secs(2)), Stage::hold(secs(1)).at(secs(1))],
            &[(Some(1), StagePart::At, "starts at 1s, but the one before it ends at 2s")],
        ),
        (&[Stage::step(MAX_SEATS + 1, secs(2))], &[(Some(0), StagePart::Kind, "100000001 players")]),
        (&[Stage::hold(31 * day)], &[(Some(0), StagePart::Over, "lasts 744h")]),
        (
            &[Stage::step(1, 20 * day), Stage::hold(20 * day), Stage::ramp(0, Duration::ZERO)],
            &[(Some(1), StagePart::Over, "ends at 960h"), (Some(2), StagePart::Over, "lasts no time")],
        ),
        (&[Stage::arrivals(rate("1/h"), secs(1))], &[(Some(0), StagePart::Kind, "nobody arrives")]),
        (&[Stage::arrivals(Rate::MAX, secs(101))], &[(Some(0), StagePart::Kind, "101000000 players arrive")]),
    ];
    for (stages, expected) in table {
        let error = Shape::new(stages.iter().copied(), None).unwrap_err();
        let got: Vec<_> = error.faults().iter().map(|f| (f.stage(), f.part())).collect();
        assert_eq!(got, expected.iter().map(|e| (e.0, e.1)).collect::<Vec<_>>(), "{error}");
        for (fault, (_, _, message)) in error.faults().iter().zip(expected) {
            assert!(fault.message().contains(message), "{}", fault.message());
        }
    }
}

#[test]
fn a_last_ramp_may_go_down_to_nobody() {
    let shape = shape(&[Stage::step(2, secs(1)), Stage::ramp(0, secs(2))]);
    assert_eq!(short(&shape)[2..], [(2000, 1, 'l'), (3000, 0, 'l')]);
}

#[test]
fn times_are_whole_microseconds() {
    let shape = shape(&[Stage::step(1, Duration::from_nanos(1_999))]);
    assert_eq!(shape.duration(), Duration::from_micros(1));
    assert!(Shape::new([Stage::step(1, Duration::from_nanos(999))], None).is_err());
}

#[test]
fn the_largest_shapes_do_not_overflow() {
    let month = MAX_DURATION / 2;
    let shape =
        shape(&[Stage::ramp(MAX_SEATS / 2, month), Stage::arrivals_between(rate("1/s"), rate("1/s"), month).poisson()]);
    assert!(shape.seats() < MAX_SEATS);
    assert_eq!(shape.population(month), MAX_SEATS / 2);
    assert_eq!(shape.planned_started(MAX_DURATION), shape.starts());
    let segment = Segment::new(1_234, 10_000).unwrap();
    let last = shape.events(Seed(1), segment, 5).last().unwrap();
    assert!(last.at <= MAX_DURATION && last.kind == EventKind::Arrive);
}

fn any_stage() -> impl Strategy<Value = Stage> {
    let over = (1u64..5_000_000).prop_map(Duration::from_micros);
    let kind = (0..6u8, 1u64..60, 0u64..60, 0..4u64);
    (kind, over).prop_map(|((kind, to, from, gap), over)| {
        let rates = (rate(&format!("{from}/s")), rate(&format!("{}/s", to + 5)));
        // Long enough for somebody to arrive.
        let longer = over + secs(1);
        match kind {
            0 => Stage::ramp(to, over),
            1 => Stage::hold(over),
            2 => Stage::step(to, over),
            3 => Stage::spike(to, over),
            4 => Stage::arrivals_between(rates.0, rates.1, longer),
            _ => Stage::arrivals_between(rates.1, rates.0, longer + secs(gap)).poisson(),
        }
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let stages = prop::collection::vec((any_stage(), prop::option::weighted(0.2, 0u64..3_000_000)), 1..8);
    (stages, prop::option::of(0..200u64)).prop_map(|(stages, room)| {
        let mut end = Duration::ZERO;
        let mut placed = vec![Stage::step(1, secs(1))];
        end += secs(1);
        for (stage, gap) in stages {
            let start = end + Duration::from_micros(gap.unwrap_or(0));
            placed.push(if gap.is_some() { stage.at(start) } else { stage });
            end = start + stage.over();
        }
        let free = Shape::new(placed.iter().copied(), None).unwrap();
        room.map_or(free.clone(), |room| Shape::new(placed, Some(free.joins + room)).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sums_are_exact_and_times_rise(shape in any_shape(), seed in any::<u64>()) {
        let events: Vec<Event> = shape.events(Seed(seed), Segment::WHOLE, 1).collect();
        prop_assert!(events.windows(2).all(|w| w[0].at <= w[1].at));
        prop_assert!(events.iter().all(|e| e.at <= shape.duration() && e.seat < shape.seats()));
        let number = |kind| events.iter().filter(|e| e.kind == kind).count() as u64;
        prop_assert_eq!(number(EventKind::Arrive), shape.arrivals());
        prop_assert_eq!(number(EventKind::Join) + number(EventKind::Arrive), shape.starts());
        prop_assert!(shape.total().is_none_or(|total| shape.starts() <= total));
        let arrived: Vec<u64> = events.iter().filter(|e| e.kind == EventKind::Arrive).map(|e| e.seat).collect();
        prop_assert_eq!(arrived, (shape.peak()..shape.seats()).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_joins_twice_or_leaves_before(shape in any_shape()) {
        let mut here = vec![false; shape.seats() as usize];
        for event in all(&shape) {
            let seat = &mut here[event.seat as usize];
            prop_assert_eq!(*seat, event.kind == EventKind::Leave, "{:?}", event);
            *seat = !*seat;
        }
    }

    #[test]
    fn the_population_is_what_joined_and_did_not_leave(shape in any_shape(), at in 0.0..1.0f64) {
        let events = all(&shape);
        // Any time, and the moments at which something happens, and those just before.
        let mut times = vec![shape.duration().mul_f64(at)];
        times.extend(events.iter().step_by(7).flat_map(|e| [e.at, e.at.saturating_sub(Duration::from_nanos(1))]));
        for t in times.into_iter().filter(|t| *t < shape.duration()) {
            let past = || events.iter().filter(|e| e.at <= t);
            let number = |kind| past().filter(|e| e.kind == kind).count() as u64;
            prop_assert_eq!(shape.population(t), number(EventKind::Join) - number(EventKind::Leave), "at {:?}", t);
        }
    }

    #[test]
    fn what_is_planned_is_what_evenly_spaced_events_start(shape in any_shape(), at in 0.0..1.0f64) {
        let even = shape.stages().all(|(_, s)| !matches!(s.kind(), StageKind::Arrivals { spacing: Spacing::Poisson, .. }));
        prop_assume!(even);
        let events = all(&shape);
        let mut times = vec![shape.duration().mul_f64(at)];
        times.extend(events.iter().step_by(5).flat_map(|e| [e.at, e.at.saturating_sub(Duration::from_nanos(1))]));
        for t in times {
            let started = events.iter().filter(|e| e.at <= t && e.kind != EventKind::Leave).count() as u64;
            prop_assert_eq!(shape.planned_started(t), started, "at {:?}", t);
        }
    }

    #[test]
    fn segments_share_the_events_of_the_whole(
        shape in any_shape(), seed in any::<u64>(), count in 1u64..7, size in 1u64..5,
    ) {
        let key = |e: &Event| (e.at, e.seat, e.kind as u8);
        let mut whole: Vec<_> = shape.events(Seed(seed), Segment::WHOLE, size).map(|e| key(&e)).collect();
        let mut parts = Vec::new();
        for index in 0..count {
            let segment = Segment::new(index, count).unwrap();
            let own: Vec<Event> = shape.events(Seed(seed), segment, size).collect();
            prop_assert!(own.windows(2).all(|w| w[0].at <= w[1].at));
            prop_assert!(own.iter().all(|e| segment.owns(e.seat / size)));
            parts.extend(own.iter().map(key));
        }
        whole.sort_unstable();
        parts.sort_unstable();
        prop_assert_eq!(whole, parts);
    }
}
