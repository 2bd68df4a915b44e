//! Whole runs in virtual time, against a server that answers late, on the shard's own thread.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use loadkit::core::{Overrides, Report};
use loadkit::transport::{Channel, Endpoint, Event, rudp};
use loadkit::{Bot, Plan, RunInfo, Scenario, Seat, sim};
use tokio::time::{Instant, sleep_until};

/// How much later than asked a server answers its nth message, counted from 0.
pub type Delay = fn(u64) -> Duration;

/// A scenario with an echo server beside its players: one on each shard, named `mem://echo`.
#[derive(Debug)]
pub struct Delayed<B> {
    /// Makes the players.
    pub bot: fn(Seat) -> B,
    /// How late the server answers.
    pub delay: Delay,
}

impl<B: Bot> Scenario for Delayed<B> {
    type Bot = B;

    fn bot(&self, seat: Seat) -> B {
        (self.bot)(seat)
    }

    fn name(&self) -> std::borrow::Cow<'static, str> {
        "delayed".into()
    }

    fn shard(&self, _: &RunInfo) {
        listen("echo", self.delay);
    }
}

/// Starts an echo server on this thread, named `mem://` and this, that answers so late.
pub fn listen(name: &str, delay: Delay) {
    // Clients keep the connection alive; a server that did so too would send most packets of an hour for that.
    let config = rudp::Config { keep_alive: Duration::from_secs(5), ..rudp::Config::DEFAULT };
    let server = rudp::Server::new(config, 10_000, [1, 2], Instant::now());
    let host = rudp::Host::new(server, Endpoint::listen_mem(name).unwrap());
    tokio::task::spawn_local(serve(host, delay));
}

/// Answers each message with itself, so much later.
async fn serve(mut host: rudp::Host, delay: Delay) {
    // By their time and, at one time, by their number.
    let mut late: BTreeMap<(Instant, u64), (rudp::PeerId, Channel, loadkit::transport::Bytes)> = BTreeMap::new();
    let mut heard = 0;
    loop {
        let due = late.first_key_value().map(|((at, _), _)| *at);
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, (peer, channel, payload))) = late.pop_first() {
                    // Who has left meanwhile needs no answer.
                    let _ = host.send(peer, channel, &payload);
                    host.flush();
                }
            }
            event = host.next() => {
                let Ok((peer, event)) = event else { return };
                if let Event::Message { channel, payload } = event {
                    late.insert((Instant::now() + delay(heard), heard), (peer, channel, payload));
                    heard += 1;
                }
            }
        }
    }
}

/// A run in virtual time against `mem://echo`.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// What is played.
    pub plan: Plan,
    /// On how many threads.
    pub shards: u32,
    /// The seed.
    pub seed: u64,
}

impl Simulation {
    /// Plays a scenario that brings its server along.
    pub fn play<S: Scenario>(&self, scenario: S) -> Report {
        let plan = self.plan.with(Overrides { target: Some("mem://echo".into()), ..Overrides::default() }).unwrap();
        sim::Simulation::new(scenario).plan(plan).seed(self.seed).shards(self.shards).run().unwrap().report
    }
}
