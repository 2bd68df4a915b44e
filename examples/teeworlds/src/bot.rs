//! The players. Begin here: this is what a game team writes, once the kit knows its protocol.

use crate::codec::Messages;
use crate::hands::Hands;
use crate::messages::{ClientMessage, ServerMessage, TICKS_PER_SECOND};
use crate::play::{News, Player};
use crate::protocol::Teeworlds;
use loadkit::transport::{Connection, Dial};
use loadkit::{Bot, Cx, Failure, Hz, Kind, Result, Scenario, Seat, Ticks};
use rand::Rng;
use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// A server that has let a client in has to show it the game by then.
const ENTER_TIMEOUT: Duration = Duration::from_secs(10);

/// The scenario: a deathmatch for as many as the server takes.
#[derive(Clone, Copy, Debug)]
pub struct Dm;

impl Scenario for Dm {
    type Bot = Tee;

    fn about(&self) -> Cow<'static, str> {
        "tees run about, jump and shoot in a Teeworlds 0.7 server".into()
    }

    fn bot(&self, seat: Seat) -> Tee {
        Tee { seat, hands: Hands::default() }
    }
}

/// The bot: is one player.
#[derive(Debug)]
pub struct Tee {
    seat: Seat,
    hands: Hands,
}

/// How it talks to the server.
type Game = Connection<Teeworlds, Messages>;

impl Bot for Tee {
    async fn run(&mut self, cx: &Cx) -> Result {
        let protocol = |cx: &Cx| Teeworlds::new(cx.rng().next_u32().to_be_bytes());
        let game = cx.connect(Dial::speaking(protocol, Messages)).await?;
        let mut player = Player::new(self.seat.account());
        cx.step("enter", enter(&game, &mut player)).await?;
        self.play(cx, &game, &mut player).await?;
        cx.step("leave", game.close()).await
    }
}

impl Tee {
    /// Sends an input each tick, and takes in what comes, until asked to leave.
    async fn play(&mut self, cx: &Cx, game: &Game, player: &mut Player) -> Result {
        let mut ticks = cx.ticks(Hz(TICKS_PER_SECOND.into())).skip_missed();
        while until_tick(cx, game, player, &mut ticks).await? {
            let input = self.hands.next(&mut cx.rng());
            if let Some(message) = player.act(Instant::now(), input) {
                game.send(message)?;
            }
        }
        Ok(())
    }
}

/// Takes in what comes until the next tick begins; `false` if there is none.
async fn until_tick(cx: &Cx, game: &Game, player: &mut Player, ticks: &mut Ticks) -> Result<bool> {
    let mut tick = pin!(ticks.next());
    loop {
        tokio::select! {
            biased;
            message = game.recv() => take_in(cx, game, player, message?)?,
            tick = &mut tick => return Ok(tick.is_some()),
        }
    }
}

/// Comes into the game: done with the first snapshot.
async fn enter(game: &Game, player: &mut Player) -> Result {
    let entering = async {
        game.send(ClientMessage::Info { password: String::new() })?;
        while player.world().is_none() {
            let message = game.recv().await?;
            if let Some(answer) = player.answer(&message) {
                game.send(answer)?;
            }
            player.learn(arrival(game), message);
        }
        Ok(())
    };
    tokio::time::timeout(ENTER_TIMEOUT, entering).await.unwrap_or_else(|_| {
        let text = format!("connected, but not in the game within {ENTER_TIMEOUT:?}");
        Err(Failure::new(Kind::TIMED_OUT, text).into())
    })
}

/// Answers a message, and records what it tells.
fn take_in(cx: &Cx, game: &Game, player: &mut Player, message: ServerMessage) -> Result {
    if let Some(answer) = player.answer(&message) {
        game.send(answer)?;
    }
    match player.learn(arrival(game), message) {
        None => {}
        Some(News::Taken(time)) => cx.trend("app_rtt", time),
        Some(News::Broken(_)) => cx.count("broken_snapshots", 1),
        Some(News::Snapshot(told)) => {
            cx.count("snapshots", 1);
            cx.trend("snapshot_age", told.age);
            for (trend, time) in [("snapshot_gap", told.gap), ("network_rtt", told.network), ("turn_rtt", told.turned)]
            {
                if let Some(time) = time {
                    cx.trend(trend, time);
                }
            }
        }
    }
    Ok(())
}

/// When the message at hand arrived in the kernel.
fn arrival(game: &Game) -> Instant {
    game.last_arrival().unwrap_or_else(Instant::now)
}
