//! The fleet on one machine: store, front door, keepers and workers' processes, in one service.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadkit_worker::{Clock, MemoryStore, Store, SystemClock};

use crate::api::{Access, Door, FleetService};
use crate::auth::Tokens;
use crate::embedded::EmbeddedStore;
use crate::fleet::Fleet;
use crate::guarded::Guarded;
use crate::keeper::keep_all;
use crate::launcher::Launcher;
use crate::local::LocalLauncher;
use crate::notify::{Notifier, Silent};
use crate::plans::PlanFolder;
use crate::policy::Policy;
use crate::settings::{Settings, WorkerLine};
use crate::webhook::Webhook;

/// What the store may forget is looked for so often.
const PURGE: Duration = Duration::from_secs(600);

/// What a service is made of.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where it listens; on any address but loopback only with tokens.
    pub listen: SocketAddr,
    /// Where it keeps its data; none for a service that forgets everything when it ends.
    pub data: Option<PathBuf>,
    /// The client's binary: what workers are.
    pub client: PathBuf,
    /// The guard-rails; none for loopback and private networks only.
    pub policy: Option<PathBuf>,
    /// Whether callers need tokens.
    pub tokens: bool,
    /// At most so many workers at a time.
    pub most_workers: usize,
    /// Where others are told what happens.
    pub webhook: Option<String>,
    /// A folder with plans, `*.toml`, that its pages offer; read anew whenever somebody asks.
    pub plans: Option<PathBuf>,
}

/// A service that listens.
#[derive(Debug)]
pub struct Serving {
    door: Door,
    fleet: Fleet,
    service: Arc<FleetService>,
    embedded: Option<Arc<EmbeddedStore>>,
}

/// Opens the store of a service.
///
/// # Errors
/// In words.
pub async fn open_store(data: &std::path::Path) -> Result<EmbeddedStore, String> {
    EmbeddedStore::open(data).await.map_err(|error| error.to_string())
}

impl Serving {
    /// Opens store and door. Nothing is served yet.
    ///
    /// # Errors
    /// In words.
    pub async fn open(options: ServeOptions) -> Result<Serving, String> {
        if !options.client.is_file() {
            return Err(format!(
                "{} is no file: give the binary of the client that workers are to be, built with loadkit's feature \
                 `worker`",
                options.client.display()
            ));
        }
        let policy = match &options.policy {
            Some(path) => Policy::load(path).map_err(|error| error.to_string())?,
            None => Policy::default(),
        };
        let plans = options.plans.map(PlanFolder::open).transpose()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let embedded = match &options.data {
            Some(data) => Some(Arc::new(open_store(data).await?)),
            None => None,
        };
        let store: Arc<dyn Store> = match &embedded {
            Some(embedded) => embedded.clone(),
            None => Arc::new(MemoryStore::new()),
        };
        let access =
            if options.tokens { Access::Tokens(Tokens::new(store.clone(), clock.clone())) } else { Access::Open };
        let door = Door::open(options.listen, access).await.map_err(|error| error.to_string())?;
        let notifier: Arc<dyn Notifier> = match &options.webhook {
            Some(url) => Arc::new(Webhook::new(url)?),
            None => Arc::new(Silent),
        };
        let settings = Settings::near(WorkerLine::Http { url: format!("http://{}", reachable(door.addr())) });
        let launcher: Arc<dyn Launcher> = Arc::new(LocalLauncher::new(options.client, options.most_workers));
        let guard = Arc::new(Guarded::new(policy.clone(), settings.terms));
        let fleet = Fleet::new(store, [launcher], notifier, guard, clock, settings);
        let service = Arc::new(FleetService::new(fleet.clone(), policy).with_plans(plans));
        Ok(Serving { door, fleet, service, embedded })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The fleet behind it.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Serves until `stopped` comes. Runs that have not ended are taken up again by the next service over the same data;
    /// its workers end with this one.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn serve(self, stopped: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let Serving { door, fleet, service, embedded } = self;
        let keepers = tokio::spawn(keep_all(fleet.clone()));
        let purging = embedded.map(|store| tokio::spawn(purge(store, fleet.clock().clone())));
        let served = door.serve(service, stopped).await;
        keepers.abort();
        purging.inspect(tokio::task::JoinHandle::abort);
        served
    }
}

async fn purge(store: Arc<EmbeddedStore>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(PURGE).await;
        // What could not be forgotten now will be next time.
        let _ = store.purge(clock.now_ms() / 1_000).await;
    }
}

/// Where workers on this machine find it.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port())),
        addr => addr,
    }
}
