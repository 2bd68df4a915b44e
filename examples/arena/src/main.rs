//! The arena's command: `arena` plays a demonstration, `arena server` is the server alone, and all else is the load
//! client's: `arena run --target …`, `arena --help`.

use std::error::Error;
use std::process::ExitCode;

use arena::{Arena, HELP, Options, demo, serve};
use loadkit::cli::Client;

fn main() -> ExitCode {
    let client = Client::new("arena", env!("CARGO_PKG_VERSION")).build(option_env!("LOADKIT_CLIENT_BUILD"));
    let client = client.stamp(option_env!("LOADKIT_STAMP"), option_env!("LOADKIT_PROTOCOL")).scenario(Arena);
    if Client::is_worker() {
        return client.main();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        None | Some("demo") => exit(demo(&client)),
        Some("server") if args.iter().any(|arg| arg == "--help" || arg == "-h") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some("server") => exit(server(&args[1..])),
        Some(_) => client.main(),
    }
}

/// The server alone.
fn server(args: &[String]) -> Result<u8, Box<dyn Error>> {
    serve::command(Options::parse(args)?)?;
    Ok(0)
}

fn exit(done: Result<u8, Box<dyn Error>>) -> ExitCode {
    done.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}
