//! The fleet as a service on one machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use loadkit_fleet::{Caller, Role, ServeOptions, Serving, Tokens, open_store};
use loadkit_worker::SystemClock;

/// Launches fleets of load-test bots and collects what they saw.
#[derive(Debug, Parser)]
#[command(name = "loadkit-fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the fleet's API, with workers as processes of this machine.
    Serve(Serve),
    /// Makes a token of a service that asks for tokens: the first one. It is shown this once. Its holder may launch, stop and
    /// turn runs.
    Token {
        /// Whose it is: small letters, digits, dashes and dots.
        name: String,
        /// Where the service keeps its data; it must not be running.
        #[arg(long)]
        data: PathBuf,
        /// Its holder may make and revoke tokens too.
        #[arg(long)]
        admin: bool,
        /// Its holder may only look.
        #[arg(long, conflicts_with = "admin")]
        look: bool,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The client's binary: what workers are. Build it with loadkit's feature `worker`.
    #[arg(long)]
    client: PathBuf,
    /// Where to listen. Any other address than loopback needs --tokens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where to keep runs, reports and tokens; without it all is forgotten at the end.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The guard-rails, in TOML; without them runs may go to loopback and private networks only.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Callers need a token (see `token`).
    #[arg(long)]
    tokens: bool,
    /// At most so many workers at a time.
    #[arg(long, default_value_t = 64)]
    workers: usize,
    /// Posts launches, stops, verdicts and refusals there, as JSON.
    #[arg(long)]
    webhook: Option<String>,
    /// A folder with plans, *.toml, that its pages offer; it is read anew whenever somebody asks.
    #[arg(long, value_name = "DIR")]
    plans: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the system gives no runtime: {error}")),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => run(serve).await,
            Command::Token { name, data, admin, look } => {
                let role = match (admin, look) {
                    (true, _) => Role::Admin,
                    (_, true) => Role::Look,
                    _ => Role::Launch,
                };
                token(&name, data, role).await
            }
        }
    });
    done.map_or_else(|why| fail(&why), |()| ExitCode::SUCCESS)
}

fn fail(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(2)
}

async fn run(serve: Serve) -> Result<(), String> {
    let Serve { client, listen, data, policy, tokens, workers, webhook, plans } = serve;
    let forgets = data.is_none();
    let options = ServeOptions { listen, data, client, policy, tokens, most_workers: workers, webhook, plans };
    let serving = Serving::open(options).await?;
    println!("the fleet listens on http://{}", serving.addr());
    if forgets {
        eprintln!("nothing is kept: runs and reports are gone when it ends (--data DIR keeps them)");
    }
    serving.serve(ended()).await.map_err(|error| error.to_string())
}

/// When it is told to end.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn token(name: &str, data: PathBuf, role: Role) -> Result<(), String> {
    let store = Arc::new(open_store(&data).await?);
    let tokens = Tokens::new(store, Arc::new(SystemClock));
    let by = Caller { name: "the command line".into() };
    let made = tokens.create(name, role, &by).await.map_err(|error| error.to_string())?;
    println!("{}", made.token);
    Ok(())
}
