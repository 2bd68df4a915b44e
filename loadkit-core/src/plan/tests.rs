use super::*;
use crate::shape::{Stage, StageKind};
use proptest::prelude::*;

mod network;
mod write;

const WHOLE: &str = r#"
scenario = "arena"
target = "127.0.0.1:4000"
seed = 7
total = 200_000
party = 3
refill = "never"
grace = "5s"
interval = "500ms"
sources = "127.0.0.1-127.0.0.100"
sockets = 4
split = ["persona"]
thresholds = ["p99(login) < 250ms", "errors(login) < 0.1%"]

[[stages]]
ramp = 999
over = "30s"
[[stages]]
hold = "10m"
[[stages]]
step = 1998
over = "1m"
[[stages]]
spike = 4998
over = "10s"
[[stages]]
arrivals = "500/s"
over = "1m"
spacing = "poisson"
at = "15m"
[[stages]]
arrivals = { from = "500/s", to = "0/s" }
over = "30s"

[personas]
casual = 7
competitive = 2.5

[accounts]
file = "accounts.csv"
[data.items]
file = "/srv/items.jsonl"
"#;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn parse(text: &str) -> Result<Plan, PlanError> {
    Plan::parse(text, "plans/test.toml")
}

#[test]
fn everything_is_read() {
    let plan = parse(WHOLE).unwrap();
    assert_eq!((plan.scenario(), plan.target(), plan.seed()), (Some("arena"), Some("127.0.0.1:4000"), Some(Seed(7))));
    assert_eq!((plan.total(), plan.party(), plan.refill()), (Some(200_000), 3, None));
    assert_eq!((plan.grace(), plan.interval()), (secs(5), Duration::from_millis(500)));
    let thresholds: Vec<String> = plan.thresholds().iter().map(Threshold::to_string).collect();
    assert_eq!(thresholds, ["p99(login) < 250ms", "errors(login) < 0.1%"]);
    let mut personas: Vec<_> = plan.personas().collect();
    assert_eq!(plan.sources().unwrap().total(), 100);
    assert_eq!((plan.sockets().unwrap().get(), plan.split()), (4, [Split::Persona].as_slice()));
    personas.sort_by_key(|persona| persona.0);
    assert_eq!(personas, [("casual", 7.0), ("competitive", 2.5)]);
    assert_eq!(plan.accounts(), Some(Path::new("plans/accounts.csv")));
    assert_eq!(plan.data().collect::<Vec<_>>(), [("items", Path::new("/srv/items.jsonl"))]);
    let stages: Vec<String> = plan.shape().stages().map(|(at, s)| format!("{}: {s}", format_duration(at))).collect();
    let expected = [
        "0s: ramp to 999 over 30s",
        "30s: hold for 10m",
        "10m30s: step to 1998 for 1m",
        "11m30s: spike to 4998 for 10s",
        "15m: arrivals at 500/s for 1m, poisson at 15m",
        "16m: arrivals at 500/s to 0/s for 30s",
    ];
    assert_eq!(stages, expected);
    assert_eq!((plan.shape().peak(), plan.shape().arrivals(), plan.duration()), (4998, 37_500, secs(990)));
}

#[test]
fn nothing_said_is_ten_bots_for_ten_seconds() {
    for plan in [parse("").unwrap(), Plan::default(), Plan::builder().build().unwrap()] {
        assert_eq!((plan.shape().peak(), plan.shape().arrivals(), plan.duration()), (10, 0, secs(10)));
        assert_eq!(plan.shape().population(Duration::ZERO), 10);
        assert_eq!((plan.party(), plan.refill(), plan.grace(), plan.interval()), (1, Some(secs(1)), secs(10), secs(1)));
        assert_eq!((plan.scenario(), plan.target(), plan.seed(), plan.total()), (None, None, None, None));
    }
}

#[test]
fn the_short_form_ramps_and_holds() {
    let plan = parse("bots = 1000\nramp = \"5s\"\nduration = \"20s\"\nseed = \"0xff\"").unwrap();
    let stages: Vec<Stage> = plan.shape().stages().map(|(_, stage)| *stage).collect();
    assert_eq!(stages, [Stage::ramp(1000, secs(5)), Stage::hold(secs(15))]);
    assert_eq!(plan.seed(), Some(Seed(255)));
    let only_ramp = parse("ramp = \"10s\"").unwrap();
    assert_eq!((only_ramp.shape().stages().count(), only_ramp.duration()), (1, secs(10)));
    let arrivals = parse("arrivals = \"10/s\"\nramp = \"4s\"").unwrap();
    assert_eq!((arrivals.shape().peak(), arrivals.shape().arrivals()), (0, 20 + 60));
    let slow = parse("arrivals = \"1/s\"\nramp = \"1s\"").unwrap();
    assert_eq!(slow.shape().arrivals(), 9, "a ramp too short for anybody is a pause");
}

#[test]
fn a_builder_makes_the_same_plans() {
    let plan = Plan::builder()
        .scenario("arena")
        .target("localhost:1")
        .seed(3)
        .stages([Stage::ramp(30, secs(3)), Stage::hold(secs(4))])
        .total(100)
        .party(3)
        .refill(None)
        .grace(secs(1))
        .interval(secs(2))
        .threshold("errors < 1%")
        .persona("casual", 1.0)
        .persona("casual", 2.0)
        .accounts("a.csv")
        .data("items", "b.jsonl")
        .build()
        .unwrap();
    assert_eq!((plan.shape().peak(), plan.duration(), plan.refill()), (30, secs(7), None));
    assert_eq!(plan.personas().collect::<Vec<_>>(), [("casual", 2.0)]);
    let error = Plan::builder().bots(0).party(0).threshold("p99 < 1s").build().unwrap_err();
    let messages: Vec<&str> = error.problems().iter().map(Problem::message).collect();
    assert_eq!(
        messages,
        ["the threshold `p99 < 1s`: `p99` of what?", "a party of 0 seats", "`bots` is 0, so nobody plays"]
    );
}

#[test]
fn the_command_line_overrides() {
    let short = parse("bots = 100\nramp = \"2s\"\nduration = \"20s\"\nparty = 2").unwrap();
    let with = |plan: &Plan, overrides| plan.with(overrides).unwrap();
    let more = with(&short, Overrides { bots: Some(500), seed: Some(Seed(1)), ..Overrides::default() });
    assert_eq!((more.shape().peak(), more.duration(), more.seed(), more.party()), (500, secs(20), Some(Seed(1)), 2));
    assert_eq!(more.shape().stages().count(), 2, "the ramp stays");
    let rate = Rate::parse("10/s").unwrap();
    let arriving = with(&short, Overrides { arrivals: Some(rate), ramp: Some(secs(0)), ..Overrides::default() });
    assert_eq!((arriving.shape().peak(), arriving.shape().arrivals()), (0, 200));

    let long = parse(WHOLE).unwrap();
    let same = with(&long, Overrides { target: Some("other:1".into()), ..Overrides::default() });
    assert_eq!((same.target(), same.shape().stages().count()), (Some("other:1"), 6));
    let replaced = with(&long, Overrides { duration: Some(secs(60)), ..Overrides::default() });
    let stages: Vec<StageKind> = replaced.shape().stages().map(|(_, stage)| stage.kind()).collect();
    assert_eq!((stages, replaced.duration()), (vec![StageKind::Step { to: 4998 }], secs(60)));
    let fewer = with(&long, Overrides { bots: Some(3), ..Overrides::default() });
    assert_eq!((fewer.shape().peak(), fewer.duration()), (3, long.duration()));

    let arrivals = parse("[[stages]]\narrivals = \"5/s\"\nover = \"5s\"").unwrap();
    let error = arrivals.with(Overrides { ramp: Some(secs(1)), ..Overrides::default() }).unwrap_err();
    assert!(error.to_string().contains("nothing says by which players"), "{error}");
    let both = Overrides { bots: Some(1), arrivals: Some(rate), ..Overrides::default() };
    assert!(short.with(both).unwrap_err().to_string().contains("cannot be combined"));
    let error = short.with(Overrides { ramp: Some(secs(30)), ..Overrides::default() }).unwrap_err();
    assert!(error.to_string().contains("(30s) is longer than the `duration` (20s)"), "{error}");
}

#[test]
fn what_is_wrong_is_shown_at_its_line() {
    // The text, the line, what is underlined, and parts of the message and of the help.
    let table = [
        ("bot = 5", 1, "bot", "unknown key `bot`", "did you mean `bots`?"),
        ("\nxyz = 5", 2, "xyz", "unknown key", "the keys of a plan are scenario"),
        ("bots = -5", 1, "-5", "`bots` is negative", "whole number"),
        ("bots = 0", 1, "0", "nobody plays", "number of players"),
        ("bots = 1.5", 1, "1.5", "decimals", "whole number"),
        ("bots = \"5\"", 1, "\"5\"", "a text, not a whole number", "whole number"),
        ("bots = 100_000_001", 1, "100_000_001", "100000001 players", "room for"),
        ("bots = 99999999999999999999", 1, "99999999999999999999", "too large", "whole"),
        ("duration = \"-5s\"", 1, "\"-5s\"", "negative", ""),
        ("duration = -5", 1, "-5", "`duration` is negative", "250ms"),
        ("duration = 20", 1, "20", "20 of what?", "\"20s\""),
        ("duration = \"0s\"", 1, "\"0s\"", "zero", "20s"),
        ("duration = \"31d\"", 1, "\"31d\"", "lasts 744h", "30 days"),
        ("duration = true", 1, "true", "not a duration", "250ms"),
        ("bots = 5\nramp = \"1m\"", 2, "\"1m\"", "longer than the `duration` (10s, the default)", "raise it"),
        ("party = 0", 1, "0", "party of 0", "1 to 10000"),
        ("total = 5", 1, "5", "the stages start 10 players", "raise the total"),
        ("total = 0", 1, "0", "the total is 0", "raise it"),
        ("interval = \"1ms\"", 1, "\"1ms\"", "`interval` is 1ms", "100ms to 1m"),
        ("refill = \"0s\"", 1, "\"0s\"", "`refill` is 0s", "from 1ms"),
        ("refill = \"nver\"", 1, "\"nver\"", "no number", ""),
        ("seed = \"x\"", 1, "\"x\"", "no seed", ""),
        ("target = \"\"", 1, "\"\"", "`target` is empty", ""),
        ("arrivals = \"5\"", 1, "\"5\"", "per what", ""),
        ("arrivals = \"5/s\"\nbots = 5", 1, "\"5/s\"", "cannot be combined", "stages"),
        ("arrivals = \"1/h\"", 1, "\"1/h\"", "nobody arrives", "raise the rate"),
        ("thresholds = [\"p99(a) ! 1s\"]", 1, "!", "unknown comparison", "<="),
        ("thresholds = [\"p99\\t(a) ! 1s\"]", 1, "\"p99\\t(a) ! 1s\"", "unknown comparison", "<="),
        ("thresholds = \"p99(a) < 1s\"", 1, "\"p99(a) < 1s\"", "is a text", "a list"),
        ("thresholds = [5]", 1, "5", "a threshold is a number", "a list"),
        ("personas = { a = 0, b = 0 }", 1, "0", "all personas are 0", "at least one"),
        ("personas = { a = -1 }", 1, "-1", "weight of `a` is -1", "from 0"),
        ("personas = { a = nan }", 1, "nan", "weight of `a` is NaN", "from 0"),
        ("sources = \"127.0.0.1-moon\"", 1, "\"127.0.0.1-moon\"", "\"moon\" is no IP address", ""),
        ("sockets = 0", 1, "0", "`sockets` is 0", "leave it out"),
        ("split = [\"personna\"]", 1, "\"personna\"", "did you mean \"persona\"?", ""),
        ("accounts = \"a.csv\"", 1, "\"a.csv\"", "`accounts` is a text", "[accounts]"),
        ("[accounts]\nfiel = \"a.csv\"", 2, "fiel", "unknown key `fiel`", "`file`"),
        ("[accounts]\nfile = \"a.xls\"", 2, "\"a.xls\"", "kind of the file", ".csv"),
        ("[data.items]", 1, "[data.items]", "names no file", "[data.items]"),
        ("bots = 5\nbots = 6", 2, "bots", "duplicate key", ""),
        ("bots = ", 1, "", "", ""),
    ];
    for (text, line, fault, message, help) in table {
        check(text, line, fault, message, help);
    }
}

#[test]
fn what_is_wrong_with_stages_is_shown_at_its_line() {
    let table = [
        ("stages = 5", 1, "5", "not a list", "[[stages]]"),
        ("[stages]\nramp = 5", 1, "[stages]", "not a list", "double brackets"),
        ("stages = []", 1, "[]", "empty", "add a stage"),
        ("stages = [5]", 1, "5", "a stage is a number", "a table"),
        ("[[stages]]\nhold = \"1s\"", 1, "[[stages]]", "no stage brings a player", "add a ramp"),
        ("[[stages]]\nover = \"1s\"", 1, "[[stages]]", "does not say what it does", "add one of"),
        ("[[stages]]\nramp = 5", 1, "[[stages]]", "does not say how long", "over ="),
        ("[[stages]]\nramp = 0\nover = \"1s\"", 2, "0", "ramp goes to nothing", "give it"),
        ("[[stages]]\nramp = -5\nover = \"1s\"", 2, "-5", "negative", "whole"),
        ("[[stages]]\nramp = 5\nover = \"0s\"", 3, "\"0s\"", "lasts no time", "at least"),
        ("[[stages]]\nramp = 5\nstep = 6\nover = \"1s\"", 3, "step", "both `ramp` and `step`", "two stages"),
        ("[[stages]]\nstep = 5\nhold = \"1s\"", 2, "step", "both `hold` and `step`", "two stages"),
        ("[[stages]]\nstep = 5\novr = \"1s\"\nover = \"1s\"", 3, "ovr", "unknown key `ovr`", "`over`"),
        ("[[stages]]\nstep = 5\nover = \"1s\"\nspacing = \"even\"", 4, "spacing", "belongs to arrivals", "leave it"),
        ("[[stages]]\narrivals = \"5/s\"\nover = \"1s\"\nspacing = \"odd\"", 4, "\"odd\"", "unknown", "poisson"),
        ("[[stages]]\narrivals = { from = \"5/s\" }\nover = \"1s\"", 2, "{ from = \"5/s\" }", "both", "write"),
        (
            "[[stages]]\nstep = 5\nover = \"2s\"\n[[stages]]\nhold = \"1s\"\nat = \"1s\"",
            6,
            "\"1s\"",
            "ends at 2s",
            "overlap",
        ),
        ("bots = 5\n[[stages]]\nstep = 5\nover = \"2s\"", 1, "5", "both say", "leave one"),
        (
            "[[stages]]\nstep = 5\nover = \"2s\"\n[[stages]]\nhold = \"1s\"\nover = \"1s\"",
            6,
            "over",
            "no `over`",
            "itself",
        ),
        (
            "party = 2\n[[stages]]\nstep = 5\nover = \"2s\"\n[[stages]]\narrivals = \"5/s\"\nover = \"1s\"",
            1,
            "2",
            "whole parties",
            "multiple",
        ),
    ];
    for (text, line, fault, message, help) in table {
        check(text, line, fault, message, help);
    }
}

/// The text has exactly one problem: this one.
#[track_caller]
fn check(text: &str, line: usize, fault: &str, message: &str, help: &str) {
    let error = parse(text).expect_err(text);
    let [problem] = error.problems() else { panic!("{text}: {error}") };
    assert_eq!(problem.line(), Some(line), "{error}");
    assert_eq!(problem.span.clone().and_then(|span| text.get(span)), Some(fault), "{error}");
    assert!(problem.message().contains(message), "{error}");
    assert!(problem.advice().unwrap_or("").contains(help), "{error}");
    assert!(error.to_string().contains(&format!("plans/test.toml:{line}:")), "{error}");
}

#[test]
fn all_problems_come_at_once_from_the_top() {
    let text = "colour = 1\nseed = -1\nduration = 5\nparty = 0\n[[stages]]\nramp = -1\nover = \"x\"\n[[stages]]\nover = \"1s\"";
    let error = parse(text).unwrap_err();
    let lines: Vec<usize> = error.problems().iter().filter_map(Problem::line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 6, 7, 8], "{error}");
    let many: String = (0..30).map(|n| format!("key{n} = 1\n")).collect();
    let error = parse(&many).unwrap_err();
    assert_eq!(error.problems().len(), 30);
    assert!(error.to_string().ends_with("and 10 more"));
}

#[test]
fn a_problem_reads_well() {
    let error = parse("bots = 5\nduratoin = \"10s\"\n").unwrap_err();
    let expected = "\
error: unknown key `duratoin`
 --> plans/test.toml:2:1
  |
2 | duratoin = \"10s\"
  | ^^^^^^^^
  |
  = help: did you mean `duration`?";
    assert_eq!(error.to_string(), expected);
    let error = Plan::builder().party(0).build().unwrap_err();
    assert_eq!(error.to_string(), "error: a party of 0 seats\n  = help: a party has 1 to 10000 seats");
}

#[test]
fn files_are_read_and_what_they_name_is_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, "[accounts]\nfile = \"a.csv\"").unwrap();
    assert_eq!(Plan::load(&path).unwrap().accounts(), Some(&*folder.path().join("a.csv")));
    std::fs::write(&path, b"\xff").unwrap();
    assert!(Plan::load(&path).unwrap_err().to_string().contains("UTF-8"));
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(Plan::load(&path).unwrap_err().to_string().contains("1 MiB"));
    let missing = Plan::load(folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("cannot be read"), "{missing}");
    assert!(Plan::load(folder.path()).is_err());
}

#[test]
fn deep_and_long_texts_are_refused_and_shown() {
    for text in
        ["[".repeat(100_000), "a = ".to_owned() + &"[".repeat(100_000), "é".repeat(100_000), "a.".repeat(50_000)]
    {
        let shown = parse(&text).expect_err("nonsense").to_string();
        assert!(shown.len() < 100_000, "{}", shown.len());
    }
    let stages = "[[stages]]\nstep = 5\nover = \"1s\"\n".repeat(1_001);
    assert!(parse(&stages).unwrap_err().to_string().contains("1001 stages"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "([a-z]{1,4}|bots|stages|over|at| = |[\\[\\]{}\",.]|\n|\\PC|[0-9]{1,3}|\"5s\"){0,30}") {
        let _ = parse(&text).map_err(|e| e.to_string());
    }

    #[test]
    fn no_change_to_a_plan_panics(at in 0..WHOLE.len(), len in 0..20usize, put in "[a-z0-9\"=\\[\\]{}.é\n -]{0,6}") {
        let mut text = WHOLE.to_owned();
        text.replace_range(at..(at + len).min(WHOLE.len()), &put);
        match parse(&text) {
            Ok(plan) => {
                prop_assert!(plan.shape().seats() > 0);
                prop_assert!(plan.with(Overrides::default()).is_ok());
            }
            Err(error) => prop_assert!(error.to_string().starts_with("error: ")),
        }
    }

    #[test]
    fn any_override_gives_a_plan_or_says_why(
        bots in prop::option::of(any::<u64>()), ramp in prop::option::of(any::<u64>()),
        duration in prop::option::of(any::<u64>()), total in prop::option::of(any::<u64>()),
        party in prop::option::of(any::<u64>()), shift in 0..64u32, long in any::<bool>(),
    ) {
        let plan = parse(if long { WHOLE } else { "" }).unwrap();
        let nanos = |n: Option<u64>| n.map(|n| Duration::from_nanos(n >> shift));
        let overrides = Overrides {
            bots: bots.map(|n| n >> shift), ramp: nanos(ramp), duration: nanos(duration),
            total: total.map(|n| n >> shift), party: party.map(|n| n >> shift), ..Overrides::default()
        };
        if let Err(error) = plan.with(overrides) {
            prop_assert!(error.to_string().starts_with("error: "));
        }
    }
}

#[test]
fn thresholds_that_would_never_be_judged_are_refused() {
    let build = |threshold: &str| Plan::builder().duration(Duration::from_secs(60)).threshold(threshold).build();
    for (threshold, help) in [
        ("p99(a) over 2m < 1s", "a window can be as long as 1m"),
        ("p99(a) over 30s after 40s < 1s", "a window can be as long as 20s"),
        ("p99(a) after 1m < 1s", "must be less than that"),
    ] {
        let error = build(threshold).unwrap_err().to_string();
        assert!(error.contains("would never be judged: the run is 1m long") && error.contains(help), "{error}");
    }
    assert!(build("p99(a) over 30s after 30s < 1s").is_ok());
    // Flags are thresholds of the plan, too.
    let plan = Plan::builder().threshold("errors < 1%").build().unwrap();
    let more = Overrides { thresholds: vec![Threshold::parse("p50(a) < 1s").unwrap()], ..Overrides::default() };
    assert_eq!(plan.with(more).unwrap().thresholds().len(), 2);
}

#[test]
fn a_threshold_on_some_players_splits_the_figures() {
    let plan = Plan::builder().threshold("p50(a{persona=casual}) < 1s").threshold("errors(a{network=lte}) < 1%");
    assert_eq!(plan.build().unwrap().split(), [Split::Persona, Split::Network]);
    assert_eq!(Plan::builder().threshold("p50(net.rtt{protocol=rudp}) < 1s").build().unwrap().split(), []);
}
