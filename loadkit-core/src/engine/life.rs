//! One life of a bot: from its making to its end, turn by turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::panics;
use crate::bot::{Bot, Scenario};
use crate::cx::Cx;
use crate::failure::{Error, Failure, Kind, Result};

/// The whole life of a bot as one future, which tells the shard how it ended.
pub(crate) fn of<S: Scenario>(scenario: Arc<S>, cx: Cx) -> impl Future<Output = ()> {
    let own = cx.clone();
    let playing = async move {
        own.seat().check_rows()?;
        scenario.bot(own.seat().clone()).run(&own).await
    };
    Life { is_over: false, cx, playing }
}

impl Cx {
    /// Ends the bot's task at its next turn, because it was asked to leave and did not.
    pub(crate) fn cut(&self) {
        self.0.is_cut.set(true);
        self.wake();
    }

    /// Whether the bot has just been cut off. Its life is over then, and the shard has been told.
    fn has_been_cut(&self) -> bool {
        let is_cut = self.0.is_cut.get();
        if is_cut {
            self.cut_off();
            self.0.shard.bot_cut_off(self.0.seat.index);
        }
        is_cut
    }
}

pin_project! {
    struct Life<F> {
        is_over: bool,
        cx: Cx,
        #[pin]
        playing: F,
    }

    impl<F> PinnedDrop for Life<F> {
        fn drop(this: Pin<&mut Self>) {
            let life = this.project();
            if !*life.is_over {
                let dropped = Failure::new(Kind::PANIC, "the bot panicked as it was dropped");
                life.cx.end(Err(dropped.into()));
            }
        }
    }
}

impl<F: Future<Output = Result>> Future for Life<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let life = self.project();
        if life.cx.has_been_cut() {
            *life.is_over = true;
            return Poll::Ready(());
        }
        let playing = life.playing;
        // A codec of the game's own runs in the turn too.
        let turn = panics::contain(|| life.cx.turn(task, |task| playing.poll(task)));
        turn.unwrap_or_else(|panic| Poll::Ready(Err(Error::from(panic)))).map(|result| {
            *life.is_over = true;
            life.cx.end(result);
        })
    }
}
