//! `cargo loadkit serve`: a fleet service of this machine, for whoever asks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use loadkit_fleet::{Caller, PlanFolder, Role, ServeOptions, Serving, Tokens, open_store};
use loadkit_worker::SystemClock;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::fleet::{Kind, Mark, Signals, client_binary, data, wait};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit serve                                     on 127.0.0.1:8080, of the load client of this folder
  cargo loadkit serve --set client=target/release/mygame-bots --listen 127.0.0.1:0 --json
  cargo loadkit serve --listen 0.0.0.0:8080 --tokens --first-token ops
  cargo loadkit serve --plans load/plans                  its page /launch offers the plans of that folder

Commands in the same folder find it by themselves; others need its URL: --fleet http://127.0.0.1:8080. Its runs and reports
are kept in the setting `data`; its guard-rails are the setting `policy`. Ctrl-C ends it, and its workers.

Exit codes:
  0  it was told to end
  1  the load client does not build
  2  wrong use
  4  the address cannot be listened on, or the data are another service's";

/// The arguments of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen. Any other address than loopback needs --tokens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Callers need a token.
    #[arg(long)]
    pub tokens: bool,
    /// Makes a token of this name for an administrator, and shows it this once.
    #[arg(long, value_name = "NAME", requires = "tokens")]
    pub first_token: Option<String>,
    /// At most so many workers at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub most_workers: usize,
    /// Posts launches, stops, verdicts and refusals there, as JSON.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// A folder with plans, *.toml, that its pages offer; it is read anew whenever somebody asks.
    #[arg(long, value_name = "DIR")]
    pub plans: Option<PathBuf>,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Where it is.
#[derive(Debug, Serialize)]
struct Served {
    url: String,
    data: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Serves until it is told to end.
///
/// # Errors
/// When it cannot listen, or there is no client.
pub fn run(args: &ServeArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    if !args.tokens && !args.listen.ip().to_canonical().is_loopback() {
        return Err(Failure::wrong_use(format!("on {} anybody could launch runs", args.listen))
            .mended_by("--tokens, and --first-token NAME for the first of them; or --listen 127.0.0.1:8080"));
    }
    if let Some(plans) = &args.plans {
        PlanFolder::open(plans).map_err(|why| Failure::wrong_use(format!("--plans: {why}")))?;
    }
    let client = client_binary(&settings, output)?;
    let data = data(&settings);
    wait(async {
        let mut signals = Signals::listen()?;
        let token = match &args.first_token {
            Some(name) => Some(first_token(name, &data).await?),
            None => None,
        };
        let options = ServeOptions {
            listen: args.listen,
            data: Some(data.clone()),
            client,
            policy: settings.path("policy"),
            tokens: args.tokens,
            most_workers: args.most_workers,
            webhook: args.webhook.clone(),
            plans: args.plans.clone(),
        };
        let serving = Serving::open(options).await.map_err(Failure::missing)?;
        let url = format!("http://{}", serving.addr());
        let _mark = Mark::set(&data, &url, Kind::Serve)?;
        let words = match &token {
            Some(token) => format!("the fleet listens on {url}\nLOADKIT_TOKEN={token}\n"),
            None => format!("the fleet listens on {url}\n"),
        };
        output.result("loadkit.serve/1", &Served { url, data: data.clone(), token }, words)?;
        let ended = async move {
            signals.next().await;
        };
        serving
            .serve(ended)
            .await
            .map_err(|error| Failure::missing(format!("the system gives no connections: {error}")))?;
        Ok(Exit::Done)
    })
}

async fn first_token(name: &str, data: &std::path::Path) -> Result<String, Failure> {
    let store = open_store(data).await.map_err(Failure::missing)?;
    let tokens = Tokens::new(Arc::new(store), Arc::new(SystemClock));
    let by = Caller { name: "the command line".to_owned() };
    let made = tokens.create(name, Role::Admin, &by).await;
    Ok(made.map_err(|error| Failure::wrong_use(format!("--first-token {name}: {error}")))?.token)
}
