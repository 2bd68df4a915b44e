//! Plays round trips one after the other and nothing else, so that their instructions can be counted:
//!
//! ```text
//! cargo build --release -p loadkit-transport --example round_trips
//! valgrind --tool=callgrind --separate-threads=yes target/release/examples/round_trips datagram 20000
//! ```
//!
//! Kinds: `datagram` and `rudp` in memory and in virtual time, with the echo server on the same thread; `udp` over
//! sockets, with the echo on a thread of its own. The difference of two runs of different length is without the start.

use std::future::poll_fn;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::{
    Bot, Collector, Control, Cx, Host, Job, Plan, Result, RunId, RunInfo, Scenario, Seat, Seed, Target, TokioTimer,
    Usage, Virtual, WakeTimer, run,
};
use loadkit_transport::{Bytes, Datagram, Endpoint, Event, Raw, Rudp, rudp};
use tokio::time::Instant;

const PAYLOAD: [u8; 64] = [7; 64];

/// Real time, with tokio's own timers.
struct Real;

impl Host for Real {
    fn timer(&self) -> Box<dyn WakeTimer> {
        Box::new(TokioTimer::default())
    }

    fn usage(&self) -> Option<Usage> {
        None
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Datagram,
    Rudp,
    Udp,
}

struct Echo {
    way: Way,
    trips: u64,
}

struct Echoer {
    way: Way,
    trips: u64,
}

impl Scenario for Echo {
    type Bot = Echoer;

    fn bot(&self, _: Seat) -> Echoer {
        Echoer { way: self.way, trips: self.trips }
    }

    fn shard(&self, _: &RunInfo) {
        match self.way {
            Way::Datagram => drop(tokio::task::spawn_local(echo())),
            Way::Rudp => drop(tokio::task::spawn_local(serve())),
            Way::Udp => {}
        }
    }
}

impl Bot for Echoer {
    async fn run(&mut self, cx: &Cx) -> Result {
        if self.way == Way::Rudp {
            let server = cx.connect(Rudp::new(Raw)).await?;
            for _ in 0..self.trips {
                cx.step("echo", async {
                    server.send(Bytes::from_static(&PAYLOAD))?;
                    server.recv().await
                })
                .await?;
            }
            return server.close().await;
        }
        let server = cx.connect(Datagram::new(Raw)).await?;
        for _ in 0..self.trips {
            cx.step("echo", async {
                server.send(Bytes::from_static(&PAYLOAD))?;
                server.recv().await
            })
            .await?;
        }
        Ok(())
    }
}

/// Datagrams go back as they come.
async fn echo() -> std::io::Result<()> {
    let mut endpoint = Endpoint::listen_mem("echo")?;
    let mut buf = vec![0; 2_048];
    loop {
        let (received, from) = poll_fn(|cx| endpoint.poll_recv_from(cx, &mut buf)).await?;
        endpoint.send_to(&buf[..received.len], from);
    }
}

/// Messages go back as they come.
async fn serve() -> std::io::Result<()> {
    let server = rudp::Server::new(rudp::Config::DEFAULT, 10, [1, 2], Instant::now());
    let mut host = rudp::Host::new(server, Endpoint::listen_mem("echo")?);
    loop {
        let (peer, event) = host.next().await?;
        if let Event::Message { channel, payload } = event {
            let _ = host.send(peer, channel, &payload);
        }
    }
}

/// The same over a socket, on a thread of its own.
fn echo_udp() -> std::io::Result<Target> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let addr = socket.local_addr()?;
    std::thread::spawn(move || {
        let mut buf = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let _ = socket.send_to(&buf[..len], from);
        }
    });
    Ok(Target::new(addr.to_string(), vec![addr]))
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (way, trips) = (args.next(), args.next());
    let way = match way.as_deref() {
        Some("datagram") => Way::Datagram,
        Some("rudp") => Way::Rudp,
        Some("udp") => Way::Udp,
        _ => return Err("say datagram, rudp or udp, and how many round trips".into()),
    };
    let trips = trips.map_or(Ok(10_000), |trips| trips.parse())?;
    let (target, host): (_, Arc<dyn Host>) = match way {
        Way::Udp => (echo_udp()?, Arc::new(Real)),
        _ => (Target::new("mem:echo", vec![]), Arc::new(Virtual)),
    };
    let plan = Plan::builder().bots(1).total(1).duration(Duration::from_secs(600)).refill(None).build()?;
    let mut collector = Collector::new(plan.interval());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(7)) };
    run(&Arc::new(Echo { way, trips }), &job, &host, &Control::new(), &mut collector)?;
    let totals = collector.totals();
    println!("{} round trips, {} failures {:?}", totals.steps["echo"].succeeded(), totals.failed(), totals.samples);
    Ok(())
}
