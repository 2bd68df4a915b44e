//! `Scenario -> client binary`: write a player as one async function, and run thousands of them.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
//!
//! struct Stroll; // the scenario: makes players
//! struct Walker; // the bot: is one player
//!
//! impl Scenario for Stroll {
//!     type Bot = Walker;
//!
//!     fn bot(&self, _: Seat) -> Walker {
//!         Walker
//!     }
//! }
//!
//! impl Bot for Walker {
//!     async fn run(&mut self, cx: &Cx) -> Result {
//!         let mut ticks = cx.ticks(Hz(10.0)).take_for(Duration::from_secs(60));
//!         while let Some(_tick) = ticks.next().await {
//!             cx.count("steps walked", 1);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! loadkit::main!(Stroll);
//! ```
//!
//! # Features
//! - `cli` (default): the command line of a client binary, [`main!`].
//! - `derive` (default): `#[derive(Packed)]`, messages in bits ([`transport::bits`]).
//! - `prost` (default): the Protobuf codec.
//! - `prometheus`, `otlp` (default): the flags `--prometheus` and `--otlp` of the command line. They bring an HTTP/1.1 stack.
//! - `tls`: TLS under streams, for `tls://` targets.
//! - `ws`: WebSockets, for `ws://` targets, and with `tls` for `wss://`.
//! - `quic`: QUIC, for `quic://` targets.
//! - `http`: HTTP requests for the services beside the game, with `tls` also `https://`.
//! - `worker`: the client can be a worker of a fleet that is reached by HTTP: a process with `LOADKIT_JOB`.
//! - `lambda`, `fargate`: it can be one as a Lambda function, and as a Fargate task or any container.

#[cfg(feature = "cli")]
pub mod cli;
mod host;
pub mod sim;
mod timer;

pub use host::{Os, free_descriptors};
pub use loadkit_core as core;
pub use loadkit_core::{
    Bot, BotRng, Cx, Error, Failure, Hz, Kind, Mix, Party, Plan, Result, RunInfo, Scenario, Seat, Think, Tick, Ticks,
};
pub use loadkit_transport as transport;
/// The crate of random numbers: bring its `RngExt` into scope to use [`Cx::rng`].
pub use rand;

/// Makes the `main` of a client binary from one or more scenarios.
///
/// ```text
/// loadkit::main!(Arena);
/// loadkit::main!(Lobby, Arena::ranked());
/// ```
#[cfg(feature = "cli")]
#[macro_export]
macro_rules! main {
    ($($scenario:expr),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::cli::Client::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                .build(option_env!("LOADKIT_CLIENT_BUILD"))
                .stamp(option_env!("LOADKIT_STAMP"), option_env!("LOADKIT_PROTOCOL"))
                $(.scenario($scenario))+
                .main()
        }
    };
}

/// The README's sample, compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
