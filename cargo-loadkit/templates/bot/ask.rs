//! The players. This is the file to grow: what one player does, from log-in to leave.

use std::time::Duration;

use loadkit::transport::{{{ask-imports}}};
use loadkit::{Bot, Cx, Failure, Hz, Kind, Result, Scenario, Seat};
use tokio::time::timeout;

use crate::wire::{Client, FromClient, FromServer};

/// Who waits longer for an answer has lost the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// The scenario: makes players.
pub struct {{scenario}};

impl Scenario for {{scenario}} {
    type Bot = Player;

    fn bot(&self, {{seat-arg}}: Seat) -> Player {
        {{player-new}}
    }
}

/// The bot: is one player.
{{player-struct}}

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect({{dial}}::new(Client::default())).await?;
        let login = {{login}};
        cx.step("login", ask(&game, login)).await?;
        // A tick carries the time at which it should have come: a late answer counts from there.
        let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(60));
        while {{ticking}} {
            let action = {{tick}};
            cx.step("tick", ask(&game, action)).await?;
        }
        {{leave-step}}
        game.close().await
    }
}

/// Sends a message, and waits for the server's answer.
async fn ask<P: Protocol>(
    game: &Connection<P, Client>,
    message: FromClient,
) -> Result<FromServer> {
    game.send(message)?;
    let answer = timeout(PATIENCE, game.recv()).await;
    Ok(answer.map_err(|_| Failure::new(Kind::TIMED_OUT, "the server did not answer in time"))??)
}
