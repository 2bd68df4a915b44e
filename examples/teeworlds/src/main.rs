//! The command: `teeworlds with-server …` plays in a server that it starts, all else is the load client's:
//! `teeworlds run --target …`, `teeworlds --help`.

use std::ffi::OsString;
use std::process::ExitCode;

use loadkit::cli::Client;
use teeworlds::bot::Dm;
use teeworlds::server::Server;

/// Exit code for a command that cannot be done.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    let client = Client::new("teeworlds", env!("CARGO_PKG_VERSION")).scenario(Dm);
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    match args.next() {
        Some(first) if first == "with-server" => with_server(client, program, args),
        _ => client.main(),
    }
}

/// Plays in a server of its own. The arguments are those of `run`.
fn with_server(client: Client, program: OsString, args: impl Iterator<Item = OsString>) -> ExitCode {
    let server = match Server::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(WRONG_USE);
        }
    };
    let run: [OsString; 4] = [program, "run".into(), "--target".into(), server.addr().to_string().into()];
    client.main_with(run.into_iter().chain(args))
}
