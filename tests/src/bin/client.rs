//! `loadkit::cli::Client` as a process: the load client that tests start with bad input.

use std::process::ExitCode;

use loadkit::cli::Client;
use loadkit_tests::Way;

fn main() -> ExitCode {
    let client = Client::new("client", env!("CARGO_PKG_VERSION"));
    let ways = [Way::Rudp, Way::Udp, Way::Tcp, Way::Stubborn, Way::Blocking, Way::Hoarding];
    ways.into_iter().fold(client, Client::scenario).main()
}
