//! The arena as it is built for a fleet, with every home that the kit has: its client, and its server.

use std::process::ExitCode;

use arena::{Arena, Options, serve};
use loadkit::cli::Client;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, options)) if first == "server" && !Client::is_worker() => server(options),
        _ => Client::new("arena", env!("CARGO_PKG_VERSION")).scenario(Arena).main(),
    }
}

fn server(options: &[String]) -> ExitCode {
    let served = Options::parse(options).map_err(|error| error.to_string());
    match served.and_then(|options| serve::command(options).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}
