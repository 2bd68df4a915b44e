//! What goes over the wire: a codec of the game's own. Here a message is a line of text; make it what your server speaks.

use loadkit::Failure;
use loadkit::transport::{Codec, malformed};

/// What clients send.
#[derive(Debug)]
pub enum FromClient {
    Login { account: String },
    /// Where the player wants to be.
    Move { x: i32, y: i32 },
    Leave,
}

/// What the server sends.
#[derive(Debug)]
pub enum FromServer {
    Welcome,
    /// Where the player is.
    Moved { x: i32, y: i32 },
    Goodbye,
}

/// The client's codec.
#[derive(Default)]
pub struct Client;

impl Codec for Client {
    type Out = FromClient;
    type In = FromServer;

    fn encode(&mut self, message: &FromClient, out: &mut Vec<u8>) -> Result<(), Failure> {
        let text = match message {
            FromClient::Login { account } => format!("login {account}"),
            FromClient::Move { x, y } => format!("move {x} {y}"),
            FromClient::Leave => "leave".to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<FromServer, Failure> {
        Ok(match words(bytes)?[..] {
            ["welcome"] => FromServer::Welcome,
            ["moved", x, y] => FromServer::Moved { x: number(x)?, y: number(y)? },
            ["goodbye"] => FromServer::Goodbye,
            _ => return Err(malformed("a message", "the server says what no client knows")),
        })
    }
}

/// The server's codec.
#[derive(Default)]
pub struct Server;

impl Codec for Server {
    type Out = FromServer;
    type In = FromClient;

    fn encode(&mut self, message: &FromServer, out: &mut Vec<u8>) -> Result<(), Failure> {
        let text = match message {
            FromServer::Welcome => "welcome".to_owned(),
            FromServer::Moved { x, y } => format!("moved {x} {y}"),
            FromServer::Goodbye => "goodbye".to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<FromClient, Failure> {
        Ok(match words(bytes)?[..] {
            ["login", account] => FromClient::Login { account: account.to_owned() },
            ["move", x, y] => FromClient::Move { x: number(x)?, y: number(y)? },
            ["leave"] => FromClient::Leave,
            _ => return Err(malformed("a message", "the client says what no server knows")),
        })
    }
}

fn words(bytes: &[u8]) -> Result<Vec<&str>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| malformed("a message", error))?;
    Ok(text.split(' ').collect())
}

fn number(text: &str) -> Result<i32, Failure> {
    text.parse().map_err(|error| malformed("a number", error))
}
