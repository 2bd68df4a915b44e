//! Questions, on a terminal, for what the command line does not say.

use std::io::{self, IsTerminal};

use dialoguer::Select;

use super::{Codec, NewArgs, Transport};
use crate::exit::Failure;
use crate::output::Output;

/// Transport and codec: as the command line says, or as the user answers; without a terminal reliable UDP and Protobuf.
pub(super) fn choose(args: &NewArgs, output: &Output) -> Result<(Transport, Codec), Failure> {
    let asks = !args.yes && !output.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal();
    let transport = match args.transport {
        Some(transport) => transport,
        None if asks => select("How do players talk to the server?", &Transport::ALL, |t| (t.name(), t.words()))?,
        None => Transport::Rudp,
    };
    let codec = match args.codec {
        Some(codec) => codec,
        None if asks && args.proto.is_empty() => {
            select("How do messages become bytes?", &Codec::ALL, |codec| (codec.name(), codec.words()))?
        }
        None => Codec::Protobuf,
    };
    Ok((transport, codec))
}

fn select<T: Copy>(question: &str, all: &[T], words: fn(T) -> (&'static str, &'static str)) -> Result<T, Failure> {
    let items = all.iter().map(|one| words(*one)).map(|(name, words)| format!("{name:<10} {words}"));
    let chosen = Select::new().with_prompt(question).items(items).default(0).interact_opt();
    let chosen = chosen.map_err(|error| Failure::missing(format!("the question cannot be asked: {error}")))?;
    chosen.and_then(|index| all.get(index).copied()).ok_or_else(|| Failure::wrong_use("nothing was chosen"))
}
