use loadkit_core::GaugeDelta;
use proptest::prelude::*;

use super::*;
use crate::testing::{gauge, second};

fn packets(interval: &Interval, tags: bool) -> (Vec<String>, u64) {
    let mut claims = Claims::new(MAX_NAMES);
    let mut lines = Lines { tags, claims: &mut claims, packets: Vec::new(), left_out: 0 };
    lines.interval(interval);
    (lines.packets, lines.left_out)
}

fn lines(interval: &Interval, tags: bool) -> Vec<String> {
    packets(interval, tags).0.iter().flat_map(|packet| packet.lines().map(str::to_owned)).collect()
}

#[test]
fn names_without_tags_have_the_labels_in_them() {
    let lines = lines(&second(), false);
    for line in [
        "loadkit.players.connected:9|g",
        "loadkit.players.started:3|c",
        "loadkit.players.failed:1|c",
        "loadkit.players.failed.by_kind.timed_out:1|c",
        "loadkit.step.response.login.p50:2|g",
        "loadkit.step.response.login.max:250|g",
        "loadkit.step.response.by_persona.login.casual.p99:1|g",
        "loadkit.step.failed.login:2|c",
        "loadkit.step.failed.by_kind.login.refused:2|c",
        "loadkit.net.rtt.p50:0.9|g",
        "loadkit.game.gold_spent.max:2000|g",
        "loadkit.net.packets_sent:500|c",
        "loadkit.net.packets_sent.by_protocol.rudp:400|c",
    ] {
        assert!(lines.iter().any(|known| known == line), "no {line} in {lines:#?}");
    }
}

#[test]
fn tags_are_dogstatsds() {
    let lines = lines(&second(), true);
    for line in [
        "loadkit.step.response.p50:2|g|#step:login",
        "loadkit.step.response.by_persona.p99:1|g|#step:login,persona:casual",
        "loadkit.step.failed:2|c|#step:login",
        "loadkit.step.failed.by_kind:2|c|#step:login,kind:refused",
        "loadkit.net.packets_sent.by_protocol:400|c|#protocol:rudp",
    ] {
        assert!(lines.iter().any(|known| known == line), "no {line} in {lines:#?}");
    }
}

#[test]
fn a_negative_gauge_is_a_value_and_no_change() {
    let lines = lines(&second(), false);
    let at = lines.iter().position(|line| line == "loadkit.game.depth:0|g").unwrap();
    assert_eq!(lines[at + 1], "loadkit.game.depth:-1.5|g");
    let odd = Interval { gauges: [("x".to_owned(), gauge(f64::NAN))].into(), ..Interval::default() };
    assert!(!self::lines(&odd, false).iter().any(|line| line.contains(".x")), "no number, no line");
}

#[test]
fn two_names_that_are_one_there_are_not_added_up() {
    let counts = [("a b".to_owned(), 1), ("a_b".to_owned(), 10)].into();
    let (packets, left_out) = packets(&Interval { counts, ..Interval::default() }, false);
    assert_eq!(left_out, 1);
    assert_eq!(packets.concat().matches("loadkit.game.a_b:").count(), 1);
}

proptest! {
    #[test]
    fn every_packet_fits_and_every_line_is_one(
        names in prop::collection::vec("\\PC{0,60}", 0..60),
        tags: bool,
    ) {
        let counts = names.iter().map(|name| (name.clone(), 1)).collect();
        let gauges = names.iter().map(|name| (name.clone(), GaugeDelta::new(-1.0, Default::default()))).collect();
        let (packets, _) = packets(&Interval { counts, gauges, ..second() }, tags);
        for packet in packets {
            prop_assert!(packet.len() <= MAX_PACKET);
            for line in packet.lines() {
                let (name, rest) = line.split_once(':').unwrap();
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_'), "{}", line);
                let mut parts = rest.split('|');
                prop_assert!(parts.next().unwrap().parse::<f64>().is_ok(), "{}", line);
                prop_assert!(matches!(parts.next(), Some("c" | "g")), "{}", line);
                prop_assert!(parts.next().is_none_or(|part| part.starts_with('#')) && parts.next().is_none(), "{}", line);
            }
        }
    }
}

#[tokio::test]
async fn what_nobody_listens_to_is_an_error() {
    // A port that was free a moment ago: the system says so at the second packet.
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut statsd = StatsD::open(&free.to_string(), false).unwrap();
    let mut failed = None;
    for _ in 0..50 {
        if let Err(error) = statsd.take(&second()).await {
            failed = Some(error.to_string());
            break;
        }
    }
    let failed = failed.expect("the loopback says that nobody listens");
    assert!(failed.contains("could not be sent") && failed.contains("refused"), "{failed}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    for addr in ["127.0.0.1", "no-such-host.invalid:1", ""] {
        let error = StatsD::open(addr, false).unwrap_err().to_string();
        assert!(error.contains(&format!("{addr:?}")) && error.contains("HOST:PORT"), "{error}");
    }
}
