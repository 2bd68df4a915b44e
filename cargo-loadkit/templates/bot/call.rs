//! The players. This is the file to grow: what one player does, from log-in to leave.

use std::time::Duration;

use loadkit::transport::{{dial}};
use loadkit::transport::protobuf::Enveloped;
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};

use crate::wire::{{wire-names}};

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
        let game = cx.connect({{dial}}::new(Enveloped::<FromServer>::new())).await?;
        let login = {{login}};
        cx.step("login", game.call(login)).await?;
        // A tick carries the time at which it should have come: a late answer counts from there.
        let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(60));
        while {{ticking}} {
            let action = {{tick}};
            cx.step("tick", game.call(action)).await?;
        }
        {{leave-step}}
        game.close().await
    }
}
