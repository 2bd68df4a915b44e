use loadkit_worker::Terms;
use proptest::prelude::*;

use super::*;
use crate::launcher::Quotas;
use crate::staff::{Generation, Staffing, Usual};

const STUDIO: &str = r#"
[[rules]]
name = "our servers"
hosts = ["*.test.example.com", "lab-*.example.com"]
networks = ["10.0.0.0/8", "fd12::/16", "loopback"]

[[rules]]
name = "CI stays small"
for = ["ci-*", "arn:aws:sts::*:assumed-role/ci-*"]
players = 1_000
duration = "30m"
cost = 5

[[rules]]
name = "Fargate is for operations"
except = ["ops-*"]
runners = ["local", "lambda"]

[[rules]]
name = "who may launch"
callers = ["ci-*", "ops-*", "arn:aws:sts::1:assumed-role/*"]
"#;

struct Ask<'a> {
    caller: &'a str,
    target: &'a str,
    addrs: &'a [&'a str],
    bots: u64,
    duration: &'a str,
    home: Home,
}

const OPS: Ask<'static> = Ask {
    caller: "ops-eva",
    target: "a.test.example.com:4000",
    addrs: &["10.1.2.3"],
    bots: 100,
    duration: "5m",
    home: Home::Lambda,
};

/// The rule that refuses it, or nothing.
fn refused(policy: &Policy, ask: &Ask<'_>) -> Option<Refusal> {
    let plan = format!("target = \"elsewhere.example.org:1\"\nbots = {}\nduration = \"{}\"\n", ask.bots, ask.duration);
    let plan = Plan::parse(&plan, "plan.toml").unwrap();
    let request = RunRequest { target: Some(ask.target.to_owned()), ..RunRequest::default() };
    let usual = Usual::of(ask.home);
    let workers = u32::try_from(ask.bots.div_ceil(u64::from(usual.players)).max(1)).unwrap();
    let generations = vec![Generation { from_ms: 0, until_ms: None }];
    let staffing = Staffing { home: ask.home, hand_over_to: None, why: String::new(), workers, generations, usual };
    let estimate = Estimate::of(&plan, &staffing, &Terms::default(), &Quotas::default());
    let addrs: Vec<SocketAddr> = ask.addrs.iter().map(|addr| SocketAddr::new(addr.parse().unwrap(), 4000)).collect();
    let caller = Caller { name: ask.caller.to_owned() };
    policy.refusals(&request, &plan, &estimate, &caller, &addrs).into_iter().next()
}

#[test]
fn a_studios_rules() {
    let policy = Policy::parse(STUDIO, "policy.toml").unwrap();
    let ci = |ask| Ask { caller: "ci-arena", ..ask };
    let at = |target: &'static str, addrs: &'static [&'static str]| Ask { target, addrs, ..OPS };
    for (ask, rule) in [
        (OPS, ""),
        (at("udp://b.c.test.example.com:1/x", &["10.0.0.1", "fd12::1"]), ""),
        (at("LAB-7.Example.Com.:1", &["127.0.0.1"]), ""),
        (at("10.9.9.9:1", &["10.9.9.9"]), ""),
        (at("tcp://[fd12::5]:1", &["fd12::5"]), ""),
        // Mapped into IPv6 it is the same address.
        (at("a.test.example.com:1", &["::ffff:10.0.0.1"]), ""),
        (at("mem://arena", &[]), ""),
        (at("test.example.com:1", &["10.0.0.1"]), "our servers"),
        (at("a.test.example.com.evil.org:1", &["10.0.0.1"]), "our servers"),
        (at("lab-7.evil.example.com:1", &["10.0.0.1"]), "our servers"),
        (at("x@a.test.example.com:1", &["10.0.0.1"]), PLAIN),
        (at("evil.org#.test.example.com:1", &["10.0.0.1"]), PLAIN),
        (at("evil.org\\.test.example.com:1", &["10.0.0.1"]), PLAIN),
        (at("evil.org/a.test.example.com:1", &["10.0.0.1"]), "our servers"),
        (at("evil.org?a.test.example.com:1", &["10.0.0.1"]), "our servers"),
        // A name that points elsewhere, or at two places of which one is elsewhere.
        (at("a.test.example.com:1", &["8.8.8.8"]), "our servers"),
        (at("a.test.example.com:1", &["10.0.0.1", "8.8.8.8"]), "our servers"),
        (at("a.test.example.com:1", &["::ffff:8.8.8.8"]), "our servers"),
        (at("a.test.example.com:1", &[]), "our servers"),
        (at("11.0.0.1:1", &["11.0.0.1"]), "our servers"),
        (at("", &[]), "our servers"),
        (at("a.test.example.com:1", &["169.254.169.254"]), NEVER),
        (at("a.test.example.com:1", &["fe80::1"]), NEVER),
        (at("169.254.169.254:80", &[]), NEVER),
        (at("[fd00:ec2::254]:80", &[]), NEVER),
        (ci(OPS), ""),
        (ci(Ask { bots: 1_000, ..OPS }), ""),
        (ci(Ask { bots: 1_001, ..OPS }), "CI stays small"),
        (ci(Ask { duration: "31m", ..OPS }), "CI stays small"),
        (ci(Ask { home: Home::Fargate, ..OPS }), "Fargate is for operations"),
        (Ask { bots: 100_000, ..OPS }, ""),
        (Ask { home: Home::Fargate, ..OPS }, ""),
        (Ask { caller: "eva", ..OPS }, "who may launch"),
        (Ask { caller: "arn:aws:sts::1:assumed-role/dev/eva", ..OPS }, ""),
        (Ask { caller: "arn:aws:sts::1:assumed-role/ci-a/x", bots: 2_000, ..OPS }, "CI stays small"),
        (Ask { caller: "arn:aws:sts::2:assumed-role/dev/eva", ..OPS }, "who may launch"),
        // A star does not go over a colon.
        (Ask { caller: "ops-x:arn", ..OPS }, "who may launch"),
    ] {
        let refusal = refused(&policy, &ask);
        let found = refusal.as_ref().map_or("", |refusal| refusal.rule.as_str());
        assert_eq!(found, rule, "{} at {:?} by {}: {refusal:?}", ask.target, ask.addrs, ask.caller);
    }
    let players = |players| policy.check_players(&Caller { name: "ci-a".into() }, players);
    assert_eq!(
        (players(1_000), players(2_000).map_err(|refusal| refusal.rule)),
        (Ok(()), Err("CI stays small".into()))
    );
}

#[test]
fn cost_goes_by_the_upper_end() {
    let policy = Policy::parse("[[rules]]\nname = \"cheap\"\nnetworks = [\"private\"]\ncost = 1.0", "p").unwrap();
    let refusal = refused(&policy, &Ask { bots: 100_000, duration: "10m", ..OPS }).unwrap();
    assert_eq!(refusal.rule, "cheap");
    assert!(refusal.to_string().contains("may cost $") && refusal.why.contains("of at most $1.00"), "{refusal}");
}

#[test]
fn without_a_file_only_what_is_near() {
    for (target, addrs, rule) in [
        ("localhost:1", &["127.0.0.1"][..], ""),
        ("[::1]:1", &[], ""),
        ("box:1", &["192.168.1.9", "fc00::1"], ""),
        ("box:1", &["172.32.0.1"], DEFAULT_TARGETS),
        ("example.com:1", &["93.184.216.34"], DEFAULT_TARGETS),
        ("example.com:1", &[], DEFAULT_TARGETS),
        ("0.0.0.0:1", &[], NEVER),
        ("255.255.255.255:1", &[], NEVER),
        ("[::ffff:169.254.169.254]:1", &[], NEVER),
    ] {
        let refusal = refused(&Policy::default(), &Ask { target, addrs, ..OPS });
        assert_eq!(refusal.as_ref().map_or("", |refusal| &refusal.rule), rule, "{target}");
        assert!(rule != DEFAULT_TARGETS || refusal.unwrap().why.contains("a policy file"), "{target}");
    }
    // A rule for others does not open the door for this one.
    let policy = "[[rules]]\nname = \"ci only\"\nfor = [\"ci-*\"]\nnetworks = [\"0.0.0.0/0\"]";
    let policy = Policy::parse(policy, "p").unwrap();
    let ask = Ask { target: "example.com:1", addrs: &["93.184.216.34"], ..OPS };
    assert_eq!(refused(&policy, &ask).unwrap().rule, DEFAULT_TARGETS);
    assert_eq!(refused(&policy, &Ask { caller: "ci-x", ..ask }), None);
}

#[test]
fn a_bad_policy_is_shown_where_it_is_wrong() {
    let text = r#"
[[rules]]
nmae = "x"
playrs = 5
networks = ["10.0.0.5/8", "300.1.1.1"]
hosts = ["https://a.example.com"]
runners = ["moon"]
duration = "5 parsecs"
cost = -1
callers = []
"#;
    let error = Policy::parse(text, "policy.toml").unwrap_err();
    let shown = error.to_string();
    for part in [
        "policy.toml:3:1",
        "did you mean `name`?",
        "did you mean `players`?",
        "write 10.0.0.0/8",
        "\"300.1.1.1\\\" is no network",
        "networks go into `networks`",
        "there are lambda, fargate and local",
        "parsecs",
        "not a sum in dollars",
        "1 to 1000 texts",
        "the rule has no name",
        "^",
    ] {
        assert!(shown.contains(&part.replace("\\\"", "\"")), "{part}\n{shown}");
    }
    let error = Policy::parse("[[rules]]\nname = \"a\"\n", "p").unwrap_err().to_string();
    assert!(error.contains("limits nothing"), "{error}");
    let twice = "[[rules]]\nname = \"a\"\nplayers = 1\n[[rules]]\nname = \"a\"\nplayers = 2\n";
    assert!(Policy::parse(twice, "p").unwrap_err().to_string().contains("two rules called `a`"));
    for (text, part) in
        [("rules = 3", "not a list of rules"), ("rules = [3]", "no rule"), ("rules", "error"), ("a = 1", "unknown key")]
    {
        assert!(Policy::parse(text, "p").unwrap_err().to_string().contains(part), "{text}");
    }
    assert_eq!(Policy::parse("", "p").unwrap(), Policy::default());
    assert!(Policy::load("no/such/policy.toml").unwrap_err().to_string().contains("cannot be read"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}", target in "\\PC{0,40}", caller in "\\PC{0,40}") {
        let _ = Policy::parse(&text, "p").map_err(|error| error.to_string());
        for text in [STUDIO, ""] {
            let policy = Policy::parse(text, "p").unwrap();
            let _ = refused(&policy, &Ask { target: &target, caller: &caller, ..OPS });
        }
    }

    #[test]
    fn a_network_holds_what_begins_like_it(bits in any::<u32>(), length in 0u8..=32, other in any::<u32>()) {
        let mask = if length == 0 { 0 } else { u32::MAX << (32 - length) };
        let first = std::net::Ipv4Addr::from_bits(bits & mask);
        let network = Network::parse(&format!("{first}/{length}")).unwrap();
        prop_assert_eq!(network.contains(std::net::Ipv4Addr::from_bits(other).into()), other & mask == bits & mask);
    }

    #[test]
    fn a_star_stands_for_anything_but_the_stop(name in "[a-z:]{0,12}", tail in "[a-z:]{0,6}") {
        let pattern = CallerPattern::parse(&format!("x*{tail}")).unwrap();
        let expected = !name.contains(':');
        let text = format!("x{name}{tail}");
        // With a colon in it, it may fit all the same, if the tail begins earlier.
        prop_assert!(!expected || pattern.fits(&text));
    }
}

#[test]
fn rails_say_what_holds_for_whoever_asks() {
    let rails = |policy: &str, name: &str| {
        let rails = Policy::parse(policy, "p").unwrap().rails(&Caller { name: name.into() });
        rails.into_iter().map(|rail| format!("{}: {}", rail.rule, rail.allows)).collect::<Vec<_>>()
    };
    let ours = "our servers: targets named *.test.example.com or lab-*.example.com, targets at 10.0.0.0/8 or fd12::/16 or loopback";
    assert_eq!(
        rails(STUDIO, "ci-a"),
        [
            ours,
            "CI stays small: at most 1,000 players, at most 30m, at most $5.00",
            "Fargate is for operations: workers on local or lambda",
            "who may launch: you",
        ]
    );
    assert_eq!(rails(STUDIO, "ops-eva"), [ours, "who may launch: you"]);
    assert_eq!(rails(STUDIO, "eva"), [""; 0], "who may not launch learns nothing");
    assert!(rails("", "eva")[0].starts_with(DEFAULT_TARGETS));
    let many: Vec<String> = (0..10).map(|nth| format!("\"10.0.{nth}.0/24\"")).collect();
    let many = format!("[[rules]]\nname = \"many\"\nnetworks = [{}]", many.join(", "));
    assert!(rails(&many, "eva")[0].ends_with("10.0.5.0/24 or 4 more"));
}
