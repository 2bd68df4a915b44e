//! A player of Driftwood: paddles for a while, and shouts.

use std::time::Duration;

use loadkit_core::{Bot, Cx, Failure, Hz, Kind, Result};
use loadkit_transport::Dial;
use rand::Rng;

use crate::protocol::{Driftwood, FromServer, Messages, ToServer};

pub(crate) struct Paddler;

impl Bot for Paddler {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Dial::speaking(|cx: &Cx| Driftwood::new(cx.rng().next_u32()), Messages)).await?;
        let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(3));
        while let Some(tick) = ticks.next().await {
            game.send(ToServer::Steer { turn: (tick.index % 3) as i8 - 1, paddle: true })?;
        }
        game.send(ToServer::Shout("ahoy".to_owned()))?;
        let answer = cx.step("shout", game.recv()).await?;
        if answer != FromServer::Raft(7) {
            return Err(Failure::new(Kind::UNEXPECTED, format!("{answer:?}")).into());
        }
        game.close().await
    }
}
