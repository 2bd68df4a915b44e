//! What goes over the wire: the messages of `proto/arena.proto`, how each of them travels, and which answers which.

use loadkit::transport::{Calls, Channel, Codec, Request, malformed};
use loadkit::{Failure, Kind};
use prost::Message;

include!(concat!(env!("OUT_DIR"), "/arena.rs"));

/// The client's codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire;

impl Codec for Wire {
    type Out = FromClient;
    type In = FromServer;

    fn encode(&mut self, message: &FromClient, out: &mut Vec<u8>) -> Result<(), Failure> {
        message.encode(out).map_err(|error| Failure::new(Kind::TOO_LARGE, error.to_string()))
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<FromServer, Failure> {
        FromServer::decode(bytes).map_err(|error| malformed("a message of the arena", error))
    }

    fn channel(&self, message: &FromClient) -> Channel {
        message.channel()
    }
}

impl Calls for Wire {
    fn stamp(&mut self, message: &mut FromClient, id: u32) {
        message.id = id;
    }

    fn reply_to(&self, message: &FromServer) -> Option<u32> {
        (message.reply_to > 0).then_some(message.reply_to)
    }
}

impl FromClient {
    /// Moves do not wait for each other; all else comes in order.
    pub fn channel(&self) -> Channel {
        match self.body {
            Some(from_client::Body::Move(_)) => Channel::UNORDERED,
            _ => Channel::ORDERED,
        }
    }
}

impl FromServer {
    /// A lost snapshot is not sent again, because the next is newer. Everything else arrives.
    pub fn channel(&self) -> Channel {
        match self.body {
            Some(from_server::Body::Snapshot(_)) => Channel::SEQUENCED,
            Some(from_server::Body::Moved(_)) => Channel::UNORDERED,
            _ => Channel::ORDERED,
        }
    }
}

/// Which message answers which.
macro_rules! answers {
    ($($ask:ident => $answer:ident,)+) => {$(
        impl Request<Wire> for $ask {
            type Reply = $answer;

            fn into_out(self) -> FromClient {
                FromClient { id: 0, body: Some(from_client::Body::$ask(self)) }
            }

            fn reply(message: FromServer) -> Result<$answer, Failure> {
                match message.body {
                    Some(from_server::Body::$answer(answer)) => Ok(answer),
                    Some(from_server::Body::Refused(refused)) => Err(refused.into()),
                    _ => Err(Failure::new(Kind::UNEXPECTED, concat!("no answer to ", stringify!($ask)))),
                }
            }
        }
    )+};
}

answers! {
    Login => Welcome,
    FindMatch => MatchFound,
    Move => Moved,
    Buy => Bought,
    Leave => Goodbye,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let kind = match refused.reason() {
            Reason::Unspecified => "refused",
            Reason::NotUnderstood => "refused-not-understood",
            Reason::NotLoggedIn => "refused-not-logged-in",
            Reason::AlreadyLoggedIn => "refused-already-logged-in",
            Reason::BadAccount => "refused-bad-account",
            Reason::ServerFull => "refused-server-full",
            Reason::AlreadyPlaying => "refused-already-playing",
            Reason::BadParty => "refused-bad-party",
            Reason::NotPlaying => "refused-not-playing",
            Reason::StaleMove => "refused-stale-move",
            Reason::TooFar => "refused-too-far",
            Reason::TooManyMoves => "refused-too-many-moves",
            Reason::NoSuchItem => "refused-no-such-item",
            Reason::NotEnoughGold => "refused-not-enough-gold",
        };
        Failure::new(Kind::new(kind), "the server refuses the request")
    }
}
