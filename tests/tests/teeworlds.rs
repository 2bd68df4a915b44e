//! Sixty bots in the real Teeworlds server, for a short while.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use loadkit::cli::{Client, PlayArgs, RunArgs};
use teeworlds::bot::Dm;
use teeworlds::server::Server;

const BOTS: u64 = 60;

#[test]
fn sixty_bots_play_in_the_real_server() {
    if std::env::var_os("LOADKIT_TEST_TEEWORLDS").is_none() {
        println!("left out: LOADKIT_TEST_TEEWORLDS does not say where the Teeworlds server is");
        return;
    }
    let server = Server::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new("teeworlds", "1.0").scenario(Dm);
    let args = RunArgs {
        play: PlayArgs {
            target: Some(server.addr().to_string()),
            report: folder.path().to_path_buf(),
            quiet: true,
            ..PlayArgs::default()
        },
        bots: Some(BOTS),
        ramp: Some(Duration::from_secs(1)),
        duration: Some(Duration::from_secs(9)),
        ..RunArgs::default()
    };
    let report = client.run(&args).unwrap().report;
    let words = || format!("{:?} {:?}; the server: {}", report.judgement, report.failures, server.last_words());
    let players = &report.players;
    assert_eq!((players.started, players.finished), (BOTS, BOTS), "{}", words());
    assert_eq!((players.failed, players.cut_off), (0, 0), "{}", words());
    assert_eq!(report.steps["enter"].succeeded, BOTS, "all came into the game");
    assert_eq!(report.steps["leave"].succeeded, BOTS, "all left it");
    assert_eq!(report.series.points.iter().map(|point| point.connected).max(), Some(BOTS), "all at once");

    let snapshots = report.game.counts["snapshots"].total;
    assert!(!report.game.counts.contains_key("broken_snapshots"), "{}", words());
    // The time in the game is the time from a bot's first snapshot to its last: the sum of all gaps.
    let gap = &report.game.trends["snapshot_gap"];
    let in_game_s = gap.mean * gap.count as f64 / 1e6;
    assert!(in_game_s > 7.0 * BOTS as f64, "{in_game_s} s of all bots together; {}", words());
    let rate = snapshots as f64 / in_game_s;
    assert!(rate >= 25.0, "{rate:.1} snapshots a second and bot; {}", words());
    assert!(gap.p99 < 200_000, "no bot waits long: {} µs", gap.p99);
    assert!(report.game.trends["network_rtt"].count > BOTS, "{}", words());
    println!("{snapshots} snapshots, {rate:.1} a second and bot");
}
