use super::*;
use crate::seed::Seed;

const MS: Duration = Duration::from_millis(1);

fn is_sound(profile: &Profile) -> bool {
    let again = Profile::new(profile.name(), *profile.up(), *profile.down());
    let again = profile.outages().into_iter().try_fold(again.unwrap(), Profile::with_outages).unwrap();
    again == *profile
}

#[test]
fn the_kits_profiles_are_sound_and_as_documented() {
    let known = Profile::known();
    assert_eq!(known.each_ref().map(|profile| profile.name()), ["perfect", "wifi-busy", "lte", "3g-train"]);
    assert!(known.iter().all(is_sound));
    let [perfect, wifi, lte, train] = known;
    assert!(perfect.is_perfect() && !wifi.is_perfect() && !lte.is_perfect() && !train.is_perfect());
    assert_eq!((perfect.mean_round_trip(), perfect.up().loss_rate()), (Duration::ZERO, 0.0));
    assert_eq!(lte.mean_round_trip(), 53 * MS);
    assert!((lte.up().loss_rate() - 0.005).abs() < 1e-12);
    assert_eq!(train.mean_round_trip(), 120 * MS);
    assert!((train.up().loss_rate() - 0.02 / 0.27 * 0.7).abs() < 1e-12);
    assert!((train.outages().unwrap().share() - 0.1).abs() < 1e-12);
    assert!((wifi.down().loss_rate() - 0.0082).abs() < 0.0001);
}

#[test]
fn what_cannot_be_is_refused() {
    let way = Direction::default();
    let jitter = |spread, wanders| Direction { jitter: Some(Jitter { spread, wanders }), ..way };
    let bursts = Bursts { worsens: 0.1, recovers: 0.1, loss_good: 0.0, loss_bad: 1.0 };
    let line = |bits_per_second, queue| Direction { line: Some(Line { bits_per_second, queue }), ..way };
    let long = 11_000 * MS;
    let table = [
        (Direction { latency: long, ..way }, "`latency` is 11s"),
        (Direction { loss: 1.1, ..way }, "`loss` is 1.1"),
        (Direction { loss: f64::NAN, ..way }, "`loss`"),
        (Direction { duplicate: -0.1, ..way }, "`duplicate` is -0.1"),
        (jitter(Spread::Uniform(long), MS), "`jitter` is 11s"),
        (jitter(Spread::Exponential(MS), long), "`jitter-wanders` is 11s"),
        (jitter(Spread::LogNormal { median: MS, sigma: 3.5 }, MS), "from 0 to 3"),
        (Direction { bursts: Some(Bursts { recovers: 0.0, ..bursts }), ..way }, "`bursts.recovers` is 0"),
        (Direction { bursts: Some(Bursts { loss_bad: 2.0, ..bursts }), ..way }, "`bursts.loss-bad` is 2"),
        (Direction { reorder: Some(Reorder { share: 2.0, by: MS }), ..way }, "`reorder` is 2"),
        (Direction { reorder: Some(Reorder { share: 0.1, by: long }), ..way }, "`reorder-by` is 11s"),
        (line(999, Queue::Bytes(1)), "999 bit/s"),
        (line(1_000, Queue::Time(long)), "`queue` is 11s"),
        (Direction { mtu: Some(Mtu { bytes: 67, drops: true }), ..way }, "68 to 65535"),
    ];
    for (direction, why) in table {
        for (up, down) in [(direction, way), (way, direction)] {
            let error = Profile::new("x", up, down).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
    for name in ["", "a{b", "a,b", "a=b", &"x".repeat(61)] {
        assert!(Profile::new(name, way, way).is_err(), "{name}");
    }
    let outages = |every, lasts| Profile::perfect().with_outages(Outages { every, lasts });
    assert!(
        outages(99 * MS, MS).is_err()
            && outages(100 * MS, 100 * MS).is_err()
            && outages(100 * MS, Duration::ZERO).is_err()
    );
    assert!(!outages(100 * MS, 99 * MS).unwrap().is_perfect());
    assert!(Profile::perfect().with_new_address(Duration::ZERO).is_err());
    assert!(!Profile::perfect().with_new_address(1_000 * MS).unwrap().is_perfect());
}

#[test]
fn a_line_takes_its_time() {
    let line = Line { bits_per_second: 1_000_000, queue: Queue::Bytes(12_500) };
    assert_eq!((line.time_for(97), line.longest_wait()), (MS, 100 * MS));
    assert_eq!(Line { queue: Queue::Time(7 * MS), ..line }.longest_wait(), 7 * MS);
    let endless = Line { bits_per_second: 0, queue: Queue::Bytes(u64::MAX) };
    assert_eq!(endless.longest_wait(), Duration::from_nanos(u64::MAX));
}

#[test]
fn mixtures_are_read_as_people_write_them() {
    let own =
        [Profile::new("tunnel", Direction { latency: MS, ..Direction::default() }, Direction::default()).unwrap()];
    let shares = |text: &str| -> Vec<(String, f64)> {
        let networks = Networks::parse(text, &own).unwrap();
        networks.iter().map(|(profile, share)| (profile.name().to_owned(), share)).collect()
    };
    assert_eq!(shares("lte"), [("lte".to_owned(), 1.0)]);
    assert_eq!(shares(" tunnel = 3 , lte=1"), [("tunnel".to_owned(), 0.75), ("lte".to_owned(), 0.25)]);
    for (text, why) in [
        ("lt", "did you mean `lte`?"),
        ("satellite", "there are tunnel, perfect, wifi-busy, lte, 3g-train"),
        ("lte=x", "`lte=x` is no network profile"),
        ("lte,perfect", "`lte` is no network profile with its weight"),
        ("lte=1,lte=2", "twice"),
        ("lte=-1", "at least 0"),
        ("lte=0", "are 0"),
        ("", "there is no network profile ``"),
    ] {
        let error = Networks::parse(text, &own).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn shares_are_near_exact_and_independent_of_personas() {
    let networks = Networks::parse("lte=0.3,perfect=0.7", &[]).unwrap();
    let personas = crate::weights::Weights::new([("casual", 7.0), ("competitive", 3.0)]).unwrap();
    for seed in 0..20 {
        let mut counts = [[0_u32; 2]; 2];
        for seat in 5_000..6_000 {
            let (persona, network) = (personas.pick(Seed(seed), seat / 3), networks.pick(Seed(seed), seat));
            counts[persona][network] += 1;
        }
        assert!((297..=303).contains(&(counts[0][0] + counts[1][0])), "{counts:?}");
        // 7/10 of 3/10 of 1,000.
        assert!((190..=230).contains(&counts[0][0]), "{counts:?}");
    }
}
