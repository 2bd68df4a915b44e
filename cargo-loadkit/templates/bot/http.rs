//! The players. This is the file to grow: what one player does, from log-in to leave.

use std::time::Duration;

use loadkit::transport::http::HttpClient;
{{protobuf-import}}
use loadkit::transport::{{http-imports}};
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
        let game = cx.connect(Http::target()).await?;
        let login = {{login}};
        cx.step("login", ask(&game, login)).await?;
        // A tick carries the time at which it should have come: a late answer counts from there.
        let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(60));
        while {{ticking}} {
            let action = {{tick}};
            cx.step("tick", ask(&game, action)).await?;
        }
        {{leave-step}}
        Ok(())
    }
}

/// Posts a message, and reads the server's answer.
async fn ask(game: &HttpClient, message: {{ask-message}}) -> Result<FromServer> {
    let mut codec = {{client-codec}};
    let mut body = Vec::new();
    codec.encode(&message{{into}}, &mut body)?;
    let reply = game.post("/").body(body).send().await?;
    Ok(codec.decode(reply.body())?{{body}})
}
