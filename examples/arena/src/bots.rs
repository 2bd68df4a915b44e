//! The players of the arena. Begin here: this is all that a game team writes to load-test its server.

use std::borrow::Cow;
use std::time::Duration;

use loadkit::core::{Weights, WeightsError};
use loadkit::transport::protobuf::Enveloped;
use loadkit::transport::{Connection, Rudp, rudp};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat, Think};
use tokio::time::Instant;

use crate::game::{ITEMS, SIDE, STRIDE};
use crate::wire::{Buy, FindMatch, FromServer, Leave, Login, MatchFound, MatchOver, Move, Snapshot};

/// The scenario: makes players.
pub struct Arena;

impl Scenario for Arena {
    type Bot = Player;

    fn about(&self) -> Cow<'static, str> {
        "players log in, find a match, fight, go shopping, and leave".into()
    }

    fn personas(&self) -> Result<Weights, WeightsError> {
        // Who lounges or idles is there when a plan says so: see plans/lobby.toml.
        Weights::new([("casual", 7.0), ("competitive", 3.0), ("lounger", 0.0), ("idler", 0.0)])
    }

    fn bot(&self, seat: Seat) -> Player {
        match seat.persona() {
            "competitive" => Player { pace: Hz(20.0), in_party: true, rest: Duration::ZERO, seat },
            "lounger" => Player { pace: Hz(10.0), in_party: false, rest: Duration::from_secs(60), seat },
            "idler" => Player { pace: Hz(10.0), in_party: false, rest: Duration::from_secs(1_800), seat },
            _ => Player { pace: Hz(10.0), in_party: false, rest: Duration::ZERO, seat },
        }
    }
}

/// The bot: is one player.
pub struct Player {
    seat: Seat,
    pace: Hz,
    in_party: bool,
    /// In the lobby before each match.
    rest: Duration,
}

/// How it talks to the server.
type Game = Connection<rudp::Client, Enveloped<FromServer>>;

/// Who waits longer for the answer to a move has lost the server.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many matches a player has had enough.
const MATCHES: u32 = 3;

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Enveloped::<FromServer>::new())).await?;
        let me = cx.step("login", game.call(Login { account: self.seat.account() })).await?;
        for _ in 0..MATCHES {
            if cx.stopping() {
                break;
            }
            if !self.rest.is_zero() {
                cx.think(Think::log_normal(self.rest, 0.5)).await;
                if cx.stopping() {
                    break;
                }
            }
            let Some(found) = self.find_match(cx, &game).await? else { break };
            let Some(over) = self.play(cx, &game, me.player, found).await? else { break };
            self.shop(cx, &game, over.gold).await?;
        }
        cx.step("leave", game.call(Leave {})).await?;
        game.close().await
    }
}

impl Player {
    /// Waits for a match, alone or with the party. `None` if the player is asked to leave.
    async fn find_match(&self, cx: &Cx, game: &Game) -> Result<Option<MatchFound>> {
        let mut wish = FindMatch { party: 0, party_size: 1 };
        if self.in_party {
            match cx.rendezvous("ready", Duration::from_secs(30)).await {
                Err(_) if cx.stopping() => return Ok(None),
                met => met?,
            }
            wish = FindMatch { party: 1 + self.seat.party(), party_size: self.seat.party_size() as u32 };
        }
        // However long that takes: how long it took is in the report.
        cx.step("matchmake", game.call(wish).within(Duration::MAX)).await.map(Some)
    }

    /// Plays by the tick until the match is over. `None` if the player is asked to leave before.
    async fn play(&self, cx: &Cx, game: &Game, me: u32, found: MatchFound) -> Result<Option<MatchOver>> {
        let mut at = (found.x, found.y);
        let mut goal = (SIDE / 2, SIDE / 2);
        let mut seen = game.last_arrival().unwrap_or_else(Instant::now);
        let mut over = None;
        let mut ticks = cx.ticks(self.pace);
        while let Some(tick) = ticks.next().await {
            // Its response time counts from when the tick should have begun: so a server that stalls shows as its
            // players feel it.
            let order = game.call(towards(goal, at, tick.index)).within(PATIENCE);
            let moved = cx.step("tick", order).await?;
            at = (moved.x, moved.y);
            while let Some(news) = game.try_recv()? {
                match news.body {
                    FromServer::Snapshot(snapshot) => {
                        goal = nearest_foe(&snapshot, me, at).unwrap_or(goal);
                        cx.count("snapshots", 1);
                        // From arrival to arrival: that they have waited here is not the server's doing.
                        let arrival = game.last_arrival().unwrap_or(seen);
                        cx.trend("snapshot_gap", arrival - seen);
                        seen = arrival;
                    }
                    FromServer::MatchOver(news) => over = Some(news),
                    _ => {}
                }
            }
            if over.is_some() {
                break;
            }
        }
        Ok(over)
    }

    /// Looks at the shop for a while, and buys the best that the player can pay.
    async fn shop(&self, cx: &Cx, game: &Game, gold: u64) -> Result {
        cx.think(Think::log_normal(Duration::from_millis(800), 0.5)).await;
        if let Some(item) = ITEMS.iter().rposition(|&(_, price)| price <= gold) {
            cx.step("buy", game.call(Buy { item: item as u32 })).await?;
        }
        Ok(())
    }
}

/// A step to the goal, and a shot in its direction.
fn towards(goal: (i32, i32), at: (i32, i32), tick: u64) -> Move {
    // As far as one may go in both directions at once.
    let step = |distance: i32| distance.clamp(-STRIDE * 7 / 10, STRIDE * 7 / 10);
    Move {
        seq: tick as u32 + 1,
        dx: step(goal.0.saturating_sub(at.0)),
        dy: step(goal.1.saturating_sub(at.1)),
        fire: true,
    }
}

/// Where the nearest of the others stands who are alive.
fn nearest_foe(snapshot: &Snapshot, me: u32, at: (i32, i32)) -> Option<(i32, i32)> {
    let foes = snapshot.fighters.iter().filter(|foe| foe.player != me && foe.hp > 0);
    foes.map(|foe| (foe.x, foe.y)).min_by_key(|foe| foe.0.abs_diff(at.0).max(foe.1.abs_diff(at.1)))
}
