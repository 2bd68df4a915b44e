//! `Ping -> Word`: the smallest game that there is, over each of the kit's ways to talk.

use std::borrow::Cow;
use std::time::Duration;

use loadkit::transport::{Calls, Codec, Connection, Datagram, Framed, Protocol, Request, Rudp, malformed};
use loadkit::{Bot, Cx, Failure, Hz, Result, Scenario, Seat};

/// Before each word, so that garbage is no word.
const MAGIC: [u8; 4] = *b"ECHO";
/// Short, so that tests of silence are short.
const CONNECT_WAIT: Duration = Duration::from_millis(800);
const REPLY_WAIT: Duration = Duration::from_millis(400);

/// The codec: a word is its number, as a client says it and as the server answers.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

/// All that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(
    /// Its number.
    pub u32,
);

/// The question that is answered by the same word.
#[derive(Clone, Copy, Debug)]
pub struct Ping;

impl Codec for Echo {
    type Out = Word;
    type In = Word;

    fn encode(&mut self, word: &Word, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.extend(MAGIC);
        out.extend(word.0.to_be_bytes());
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Word, Failure> {
        match bytes.split_first_chunk() {
            Some((&MAGIC, number)) => {
                let number = number.try_into().map_err(|_| malformed("a word", "its number has not four bytes"))?;
                Ok(Word(u32::from_be_bytes(number)))
            }
            _ => Err(malformed("a word", "it does not begin with ECHO")),
        }
    }
}

impl Calls for Echo {
    fn stamp(&mut self, word: &mut Word, id: u32) {
        word.0 = id;
    }

    fn reply_to(&self, word: &Word) -> Option<u32> {
        Some(word.0)
    }
}

impl Request<Echo> for Ping {
    type Reply = ();

    fn into_out(self) -> Word {
        Word(0)
    }

    fn reply(_: Word) -> Result<(), Failure> {
        Ok(())
    }
}

/// How the players of a scenario talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Reliable UDP.
    Rudp,
    /// Datagrams without a protocol.
    Udp,
    /// Frames over TCP.
    Tcp,
    /// Reliable UDP, by players who never leave by themselves.
    Stubborn,
    /// Reliable UDP, by players who keep their thread from all others for a while before they ask.
    Blocking,
    /// Datagrams, by players who take ten sockets each, and say that they take one.
    Hoarding,
}

/// A player.
#[derive(Debug)]
pub struct Pinger(Way);

impl Scenario for Way {
    type Bot = Pinger;

    fn name(&self) -> Cow<'static, str> {
        format!("{self:?}").to_lowercase().into()
    }

    fn about(&self) -> Cow<'static, str> {
        "players who ask for an echo 20 times a second".into()
    }

    fn bot(&self, _: Seat) -> Pinger {
        Pinger(*self)
    }
}

impl Bot for Pinger {
    async fn run(&mut self, cx: &Cx) -> Result {
        match self.0 {
            Way::Rudp => {
                let dial = Rudp::new(Echo).time_out(CONNECT_WAIT).call_time_out(REPLY_WAIT);
                play(cx, cx.connect(dial).await?).await
            }
            Way::Udp => {
                let dial = Datagram::new(Echo).time_out(CONNECT_WAIT).call_time_out(REPLY_WAIT);
                play(cx, cx.connect(dial).await?).await
            }
            Way::Tcp => {
                let dial = Framed::new(Echo).time_out(CONNECT_WAIT).call_time_out(REPLY_WAIT);
                play(cx, cx.connect(dial).await?).await
            }
            Way::Blocking => {
                let game = cx.connect(Rudp::new(Echo).time_out(CONNECT_WAIT).call_time_out(REPLY_WAIT)).await?;
                let mut ticks = cx.ticks(Hz(20.0));
                while ticks.next().await.is_some() {
                    hold(Duration::from_millis(30));
                    cx.step("ping", game.call(Ping)).await?;
                }
                cx.step("leave", game.close()).await
            }
            Way::Hoarding => {
                let mut games = Vec::new();
                for _ in 0..10 {
                    games.push(cx.connect(Datagram::new(Echo)).await?);
                }
                while let Some(game) = games.pop() {
                    play(cx, game).await?;
                }
                Ok(())
            }
            Way::Stubborn => {
                let game = cx.connect(Rudp::new(Echo).call_time_out(REPLY_WAIT)).await?;
                loop {
                    cx.step("ping", game.call(Ping)).await?;
                    cx.timers().sleep_until(tokio::time::Instant::now() + Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Keeps its thread for so long, as a call does that blocks.
pub fn hold(time: Duration) {
    // Nobody ever says anything. To park would end early, because the runtime has tokens of its own.
    let (_tell, told) = std::sync::mpsc::sync_channel::<()>(1);
    let _ = told.recv_timeout(time);
}

/// Asks until the player is to leave, and says goodbye.
async fn play<P: Protocol + 'static>(cx: &Cx, game: Connection<P, Echo>) -> Result {
    let mut ticks = cx.ticks(Hz(20.0));
    while ticks.next().await.is_some() {
        cx.step("ping", game.call(Ping)).await?;
    }
    cx.step("leave", game.close()).await
}
