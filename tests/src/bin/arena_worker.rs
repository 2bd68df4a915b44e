//! The arena as a worker of a fleet, where its environment says so; with `run` its load client; and else its server.

use std::process::ExitCode;

use arena::{Arena, Options, serve};
use loadkit::cli::Client;

fn main() -> ExitCode {
    let client = Client::new("arena", env!("CARGO_PKG_VERSION")).scenario(Arena);
    if Client::is_worker() || std::env::args().nth(1).as_deref() == Some("run") {
        return client.main();
    }
    let served = Options::parse(std::env::args().skip(1)).map_err(|error| error.to_string());
    match served.and_then(|options| serve::command(options).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}
