//! `[network]`.

use super::parse;
use crate::network::{Bursts, Direction, Jitter, Line, Mtu, Networks, Outages, Profile, Queue, Reorder, Spread};
use crate::plan::{Overrides, Plan};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn shares(plan: &Plan) -> Vec<(String, f64)> {
    let networks = plan.networks().into_iter().flat_map(Networks::iter);
    networks.map(|(profile, share)| (profile.name().to_owned(), share)).collect()
}

fn profile<'a>(plan: &'a Plan, name: &str) -> &'a Profile {
    plan.networks().unwrap().iter().find(|(profile, _)| profile.name() == name).unwrap().0
}

pub(super) const OWN: &str = r#"
[network]
tunnel = 1
slow-dsl = 2
plain = 1

[network.profiles.tunnel]
like = "lte"
outages = { every = "30s", lasts = "2s" }
new-address = "1m"

[network.profiles.slow-dsl]
latency = "20ms"
jitter = "4ms"
jitter-shape = "uniform"
jitter-wanders = "0"
loss = "0.5%"
bursts = { worsens = "1%", recovers = "25%", loss-bad = "50%" }
duplicate = "1%"
reorder = "2%"
mtu = 1400
[network.profiles.slow-dsl.up]
bandwidth = "500kbit/s"
queue = "64KiB"
latency = "30ms"
[network.profiles.slow-dsl.down]
bandwidth = "1.5Mbit/s"
jitter-shape = "log-normal"
jitter-sigma = 0.5
oversized = "count"

[network.profiles.plain]
"#;

#[test]
fn own_profiles_say_what_differs() {
    let plan = parse(OWN).unwrap();
    let mut all = shares(&plan);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all, [("plain".to_owned(), 0.25), ("slow-dsl".to_owned(), 0.5), ("tunnel".to_owned(), 0.25)]);
    assert!(profile(&plan, "plain").is_perfect());
    let tunnel = profile(&plan, "tunnel");
    assert_eq!((tunnel.up(), tunnel.down()), (Profile::lte().up(), Profile::lte().down()));
    assert_eq!(tunnel.outages(), Some(Outages { every: 30_000 * MS, lasts: 2_000 * MS }));
    assert_eq!(tunnel.new_address(), Some(60_000 * MS));
    let up = Direction {
        latency: 30 * MS,
        jitter: Some(Jitter { spread: Spread::Uniform(8 * MS), wanders: Duration::ZERO }),
        loss: 0.005,
        bursts: Some(Bursts { worsens: 0.01, recovers: 0.25, loss_good: 0.0, loss_bad: 0.5 }),
        duplicate: 0.01,
        reorder: Some(Reorder { share: 0.02, by: 10 * MS }),
        line: Some(Line { bits_per_second: 500_000, queue: Queue::Bytes(65_536) }),
        mtu: Some(Mtu { bytes: 1_400, drops: true }),
    };
    let down = Direction {
        latency: 20 * MS,
        jitter: Some(Jitter { spread: Spread::log_normal_of_mean(4 * MS, 0.5), wanders: Duration::ZERO }),
        line: Some(Line { bits_per_second: 1_500_000, queue: Queue::Time(500 * MS) }),
        mtu: Some(Mtu { bytes: 1_400, drops: false }),
        ..up
    };
    let dsl = profile(&plan, "slow-dsl");
    assert_eq!((dsl.up(), dsl.down()), (&up, &down));
}

#[test]
fn the_command_line_chooses_among_the_kits_and_the_plans() {
    assert_eq!(Plan::default().networks(), None);
    let plan = parse(OWN).unwrap();
    let with = |text: &str| plan.with(Overrides { network: Some(text.to_owned()), ..Overrides::default() });
    assert_eq!(shares(&with("3g-train").unwrap()), [("3g-train".to_owned(), 1.0)]);
    assert_eq!(shares(&with("tunnel=1,lte=3").unwrap()), [("lte".to_owned(), 0.75), ("tunnel".to_owned(), 0.25)]);
    assert_eq!(shares(&plan.with(Overrides::default()).unwrap()).len(), 3, "else the plan's stay");
    let error = with("tunel").unwrap_err().to_string();
    assert!(error.contains("did you mean `tunnel`?"), "{error}");
    let only_defined = parse("[network.profiles.mine]\nlatency = \"5ms\"").unwrap();
    assert_eq!(only_defined.networks(), None, "defined, and nobody's");
}

#[test]
fn a_builder_takes_profiles() {
    let mine = Profile::new("mine", Direction { latency: MS, ..Direction::default() }, Direction::default()).unwrap();
    let plan = Plan::builder().network(Profile::lte(), 9.0).network(mine.clone(), 1.0).network(Profile::lte(), 3.0);
    let plan = plan.build().unwrap();
    assert_eq!(shares(&plan), [("lte".to_owned(), 0.75), ("mine".to_owned(), 0.25)]);
    let other = Profile::new("lte", *mine.up(), *mine.down()).unwrap();
    let error = Plan::builder().network(other, 1.0).build().unwrap_err().to_string();
    assert!(error.contains("the kit has a network profile `lte` already"), "{error}");
    let error = Plan::builder().network(Profile::lte(), 0.0).build().unwrap_err().to_string();
    assert!(error.contains("weights of all network profiles are 0"), "{error}");
}

/// The text below the caret line, and the message.
#[track_caller]
fn fault(text: &str, under: &str, message: &str) {
    let error = parse(text).unwrap_err();
    let shown = error.to_string();
    let problem = error.problems().first().unwrap();
    assert_eq!(error.problems().len(), 1, "{shown}");
    assert!(problem.message().contains(message), "{shown}");
    assert_eq!(&text[problem.span.clone().unwrap()], under, "{shown}");
}

#[test]
fn faults_are_shown_where_they_stand() {
    let own = |body: &str| format!("[network]\nx = 1\n[network.profiles.x]\n{body}");
    fault("network = 3", "3", "`network` is a number");
    fault("[network]\nlet = 1", "let", "did you mean `lte`?");
    fault("[network]\nlte = \"much\"", "\"much\"", "the weight of `lte` is a text");
    fault("[network]\nlte = -1", "lte", "at least 0");
    fault("[network]\nlte = 0", "lte", "are 0");
    fault("[network]\nprofiles = 1", "1", "`network.profiles` is a number");
    fault("[network.profiles]\nx = 1", "1", "the network profile `x` is a number");
    fault("[network.profiles.lte]\nloss = \"1%\"", "lte", "the kit has a network profile `lte` already");
    for (body, under, message) in [
        ("latncy = \"5ms\"", "latncy", "unknown key `latncy`"),
        ("[network.profiles.x.up]\nlike = \"lte\"", "like", "unknown key `like`"),
        ("like = \"tle\"", "\"tle\"", "did you mean `lte`?"),
        ("latency = 5", "5", "`latency` is 5 of what?"),
        ("latency = \"11s\"", "\"11s\"", "it can be at most 10s"),
        ("loss = 0.5", "0.5", "a number without a %"),
        ("loss = \"101%\"", "\"101%\"", "a share is 0% to 100%"),
        ("loss = \"-1%\"", "\"-1%\"", "`loss` is no percentage"),
        ("loss = \"inf%\"", "\"inf%\"", "`loss` is no percentage"),
        ("bandwidth = \"15 Mbps\"", "\"15 Mbps\"", "the `bandwidth` is no rate"),
        ("bandwidth = \"15bit/s\"", "\"15bit/s\"", "1kbit/s to 1Tbit/s"),
        ("queue = \"many\"", "\"many\"", "neither a time nor a size"),
        ("mtu = 70000", "70000", "the `mtu` is 70000"),
        ("mtu = 60", "60", "68 to 65535"),
        ("oversized = \"keep\"", "\"keep\"", "none of the words"),
        ("jitter-shape = \"wild\"", "\"wild\"", "none of the words"),
        ("jitter = \"1ms\"\njitter-shape = \"log-normal\"\njitter-sigma = 4", "4", "from 0 to 3"),
        ("bursts = { worsens = \"1%\" }", "{ worsens = \"1%\" }", "both `worsens` and `recovers`"),
        (
            "bursts = { worsens = \"1%\", recovers = \"0%\" }",
            "{ worsens = \"1%\", recovers = \"0%\" }",
            "`bursts.recovers`",
        ),
        ("bursts = { worsens = \"1%\", recovers = \"9%\", bad = \"1%\" }", "bad", "unknown key `bad`"),
        ("outages = { every = \"1s\" }", "{ every = \"1s\" }", "both `every` and `lasts`"),
        (
            "outages = { every = \"1s\", lasts = \"1s\" }",
            "{ every = \"1s\", lasts = \"1s\" }",
            "less than from one to the next",
        ),
        ("new-address = \"1ms\"", "\"1ms\"", "from 100ms to 24h"),
        ("up = 1", "1", "`up` is a number"),
        ("reorder = \"1%\"\n[network.profiles.x.down]\nreorder-by = \"20s\"", "\"20s\"", "at most 10s"),
    ] {
        fault(&own(body), under, message);
    }
}
