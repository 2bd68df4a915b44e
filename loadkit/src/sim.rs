//! `Scenario + server + Plan -> Outcome`, in virtual time: how a game team tests its bot without a network.
//!
//! Bots and server run in one process, over memory, with whatever network the plan puts between them. An hour of play
//! takes as long as its work does, and comes out the same each time.
//!
//! ```
//! use std::time::Duration;
//!
//! use loadkit::core::network::Profile;
//! use loadkit::sim::Simulation;
//! use loadkit::transport::{Datagram, Endpoint, Raw};
//! use loadkit::{Bot, Cx, Hz, Plan, Result, Scenario, Seat};
//!
//! struct Echo;
//! struct Echoer;
//!
//! impl Scenario for Echo {
//!     type Bot = Echoer;
//!
//!     fn bot(&self, _: Seat) -> Echoer {
//!         Echoer
//!     }
//! }
//!
//! impl Bot for Echoer {
//!     async fn run(&mut self, cx: &Cx) -> Result {
//!         let server = cx.connect(Datagram::new(Raw)).await?;
//!         let mut ticks = cx.ticks(Hz(10.0));
//!         while ticks.next().await.is_some() {
//!             server.send(&b"ping"[..])?;
//!             if server.try_recv()?.is_some() {
//!                 cx.count("echoes", 1);
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! async fn serve(mut endpoint: Endpoint) {
//!     let mut buffer = [0; 1_500];
//!     loop {
//!         let received = std::future::poll_fn(|cx| endpoint.poll_recv_from(cx, &mut buffer)).await;
//!         let Ok((received, from)) = received else { return };
//!         endpoint.send_to(&buffer[..received.len], from);
//!     }
//! }
//!
//! let plan = Plan::builder().bots(10).duration(Duration::from_secs(60)).network(Profile::lte(), 1.0).build()?;
//! let outcome = Simulation::new(Echo).server(serve).plan(plan).run()?;
//! assert_eq!(outcome.totals.failed(), 0);
//! // Ten bots send ten times a second for a minute, and 1 % of the round trips fail on the way there or back.
//! let echoes = outcome.totals.count("echoes");
//! assert!((5_850..=5_980).contains(&echoes), "{echoes}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod capacity;

pub use capacity::CapacityError;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use loadkit_core::{
    Conditions, Control, Host, Job, Judge, MetricSink, Plan, Report, Result, RunError, RunFacts, RunId, RunInfo,
    Scenario, Seat, Seed, Target, Totals, Virtual, Weights, WeightsError, run,
};
use loadkit_transport::{Endpoint, Listener};

/// The name under which the server listens in memory.
const NAME: &str = "simulated";

/// A run in virtual time: bots and their server in one process. See the [module](self) for a whole one.
#[must_use = "a simulation does nothing until `run`"]
pub struct Simulation<S> {
    scenario: S,
    server: Option<Arc<Serve>>,
    plan: Plan,
    seed: Option<Seed>,
    shards: u32,
}

/// Starts a server at its end, if the name is free.
type Serve = dyn Fn() -> Option<Pin<Box<dyn Future<Output = ()>>>> + Send + Sync;

/// What came of a simulation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report, as of any run, judged by the plan's thresholds. Nothing in it is of this run alone: its id and its
    /// start are made up.
    pub report: Report,
    /// The figures behind it, with whole histograms.
    pub totals: Totals,
}

impl<S: Scenario> Simulation<S> {
    /// Players of this scenario, by the default plan: 10 for 10 seconds.
    pub fn new(scenario: S) -> Simulation<S> {
        Simulation { scenario, server: None, plan: Plan::default(), seed: None, shards: 1 }
    }

    /// Against this server: it is started on each shard, before its players, at an endpoint in memory, and dropped when the
    /// shard ends. Without one, the scenario starts its own in [`Scenario::shard`], under the name in the plan's target.
    pub fn server<F: Future<Output = ()> + 'static>(
        mut self,
        serve: impl Fn(Endpoint) -> F + Send + Sync + 'static,
    ) -> Simulation<S> {
        self.server = Some(Arc::new(move || Some(Box::pin(serve(Endpoint::listen_mem(NAME).ok()?)))));
        self
    }

    /// As [`Simulation::server`], against a server of streams: frames over TCP, WebSockets, HTTP.
    pub fn stream_server<F: Future<Output = ()> + 'static>(
        mut self,
        serve: impl Fn(Listener) -> F + Send + Sync + 'static,
    ) -> Simulation<S> {
        self.server = Some(Arc::new(move || Some(Box::pin(serve(Listener::listen_mem(NAME).ok()?)))));
        self
    }

    /// By this plan: how many, for how long, over which networks, and what must hold. Its target counts only where there is
    /// no [`Simulation::server`].
    pub fn plan(mut self, plan: Plan) -> Simulation<S> {
        self.plan = plan;
        self
    }

    /// With this seed; otherwise with that of the plan, or 0. The same seed comes out the same.
    pub fn seed(mut self, seed: u64) -> Simulation<S> {
        self.seed = Some(Seed(seed));
        self
    }

    /// On so many threads instead of one, each with a server and its share of the players.
    pub fn shards(mut self, shards: u32) -> Simulation<S> {
        self.shards = shards.max(1);
        self
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// As [`run`]: only before the first player.
    pub fn run(self) -> Result<Outcome, RunError> {
        let (scenario, job) = self.prepare();
        let control = Control::new();
        let mut judge = Judge::new(job.plan.thresholds(), job.plan.interval()).with_control(&control);
        let conditions = play(&scenario, &job, &control, &mut judge)?;
        let judgement = judge.judgement(&conditions);
        let report = Report::new(RunFacts::new(&job, scenario.name(), 0), judge.collector(), judgement);
        Ok(Outcome { report, totals: judge.collector().totals().clone() })
    }

    fn prepare(self) -> (Arc<WithServer<S>>, Job) {
        let Simulation { scenario, server, plan, seed, shards } = self;
        let target = match &server {
            Some(_) => format!("mem://{NAME}"),
            None => plan.target().unwrap_or_default().to_owned(),
        };
        let seed = seed.or(plan.seed()).unwrap_or_default();
        let whole = Job::whole(RunId(1), plan, Target::new(target, Vec::new()), seed);
        (Arc::new(WithServer { scenario, server }), Job { shards, ..whole })
    }
}

/// Plays a job in virtual time.
fn play<S: Scenario>(
    scenario: &Arc<WithServer<S>>,
    job: &Job,
    control: &Control,
    sink: &mut dyn MetricSink,
) -> Result<Conditions, RunError> {
    let host: Arc<dyn Host> = Arc::new(Virtual);
    let ended = run(scenario, job, &host, control, sink)?;
    Ok(Conditions::new(job.plan.duration(), &ended, 0, true))
}

/// The scenario with a server beside its players, one on each shard.
struct WithServer<S> {
    scenario: S,
    server: Option<Arc<Serve>>,
}

impl<S: Scenario> Scenario for WithServer<S> {
    type Bot = S::Bot;

    fn bot(&self, seat: Seat) -> S::Bot {
        self.scenario.bot(seat)
    }

    fn name(&self) -> Cow<'static, str> {
        self.scenario.name()
    }

    fn about(&self) -> Cow<'static, str> {
        self.scenario.about()
    }

    fn personas(&self) -> Result<Weights, WeightsError> {
        self.scenario.personas()
    }

    fn sockets_per_bot(&self) -> u32 {
        self.scenario.sockets_per_bot()
    }

    fn setup(&self, run: &RunInfo) -> impl Future<Output = Result> {
        self.scenario.setup(run)
    }

    fn teardown(&self, run: &RunInfo) -> impl Future<Output = Result> {
        self.scenario.teardown(run)
    }

    fn shard(&self, run: &RunInfo) {
        // The name is free: this is the thread's first server, and nobody else's name.
        if let Some(serve) = &self.server
            && let Some(serving) = serve()
        {
            tokio::task::spawn_local(serving);
        }
        self.scenario.shard(run);
    }
}
