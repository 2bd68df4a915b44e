//! Bots over every link, in whole runs of the engine.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadkit_core::{
    Bot, Collector, Control, Cx, Error, Failure, Host, Job, Kind, Plan, PlanBuilder, Result, RunId, RunInfo, Scenario,
    Seat, Seed, Target, TokioTimer, Totals, Usage, Virtual, WakeTimer, run,
};
use tokio::time::Instant;

use crate::driver::Core;
use crate::{
    Boundary, Bytes, Calls, Channel, Codec, Connection, Datagram, Dial, Endpoint, Event, Framed, Framing, Kcp, Plain,
    Prefix, Raw, Request, Rudp, kcp, malformed, mem, rudp,
};

/// Real time, with tokio's own timers.
pub(crate) struct Real;

impl Host for Real {
    fn timer(&self) -> Box<dyn WakeTimer> {
        Box::new(TokioTimer::default())
    }

    fn usage(&self) -> Option<Usage> {
        None
    }
}

/// What a bot does.
pub(crate) type Play =
    Box<dyn for<'a> Fn(&'a Cx) -> std::pin::Pin<Box<dyn Future<Output = Result> + 'a>> + Send + Sync>;

struct Game {
    play: Arc<Play>,
    server: Option<fn()>,
}

struct Player(Arc<Play>);

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        (self.0)(cx).await
    }
}

impl Scenario for Game {
    type Bot = Player;

    fn bot(&self, _: Seat) -> Player {
        Player(self.play.clone())
    }

    fn shard(&self, _: &RunInfo) {
        if let Some(server) = self.server {
            server();
        }
    }
}

/// Plays with so many bots on one shard until all are done.
pub(crate) fn play(bots: u64, target: Target, server: Option<fn()>, host: Arc<dyn Host>, play: Play) -> Totals {
    play_plan(each_once(bots).build().unwrap(), target, server, host, play)
}

/// Each of so many bots plays once.
pub(crate) fn each_once(bots: u64) -> PlanBuilder {
    Plan::builder().bots(bots).total(bots).duration(Duration::from_secs(30)).refill(None)
}

pub(crate) fn play_plan(plan: Plan, target: Target, server: Option<fn()>, host: Arc<dyn Host>, play: Play) -> Totals {
    let mut collector = Collector::new(plan.interval());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(7)) };
    let ended =
        run(&Arc::new(Game { play: Arc::new(play), server }), &job, &host, &Control::new(), &mut collector).unwrap();
    assert_eq!((ended.shards_lost, ended.snapshots_lost), (0, 0));
    collector.totals().clone()
}

macro_rules! bots {
    ($bots:expr, $target:expr, $server:expr, $host:expr, |$cx:ident| $body:block) => {
        play($bots, $target, $server, Arc::new($host), Box::new(|$cx: &Cx| Box::pin(async move { $body })))
    };
    ($bots:expr, $target:expr, $server:expr, $host:expr, move |$cx:ident, $own:ident| $body:block) => {
        play(
            $bots,
            $target,
            $server,
            Arc::new($host),
            Box::new(move |$cx: &Cx| {
                let $own = $own.clone();
                Box::pin(async move { $body })
            }),
        )
    };
}

mod enet;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "quic")]
mod quic;
#[cfg(any(feature = "tls", feature = "ws", feature = "http"))]
mod servers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "ws")]
mod ws;

fn at(scheme: &str, addr: SocketAddr) -> Target {
    Target::new(format!("{scheme}{addr}"), vec![addr])
}

/// Echoes datagrams until the process ends.
fn echo_udp() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buf = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let _ = socket.send_to(&buf[..len], from);
        }
    });
    addr
}

/// Answers on one connection after the other.
pub(crate) fn serve_tcp(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut buf = [0; 4_096];
                while let Ok(len @ 1..) = stream.read(&mut buf) {
                    if stream.write_all(&answer(&buf[..len])).is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

#[test]
fn datagrams_echo_over_udp() {
    let totals = bots!(20, at("", echo_udp()), None, Real, |cx| {
        let game = cx.connect(Datagram::new(Raw)).await?;
        for n in 0..20_u8 {
            let echo = cx.step("echo", async {
                game.send(vec![n; 64])?;
                game.recv().await
            });
            assert_eq!(echo.await?, vec![n; 64]);
            assert!(game.last_arrival().is_some_and(|at| at <= Instant::now()));
        }
        assert_eq!((game.stats().packets_sent, game.stats().bytes_received), (20, 20 * 64));
        game.close().await?;
        let failure = game.send(vec![1]).unwrap_err();
        assert_eq!(failure.kind(), Kind::CLOSED);
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (20, 0), "{:?}", totals.samples);
    assert_eq!(totals.steps["echo"].succeeded(), 400);
    assert_eq!(totals.counts["net.packets_received"], 400);
    assert_eq!(totals.counts["net.bytes_sent"], 400 * 64);
}

#[test]
fn frames_echo_over_tcp_and_refusals_name_the_target() {
    let addr = serve_tcp(<[u8]>::to_vec);
    let totals = bots!(5, at("tcp://", addr), None, Real, |cx| {
        let game = cx.connect(Framed::new(Raw)).await?;
        let long = Bytes::from(vec![7; 300_000]);
        game.send(long.clone())?;
        game.send(&b"short"[..])?;
        assert!(game.recv().await? == long);
        assert_eq!(game.recv().await?, &b"short"[..]);
        game.send(&b"bye"[..])?;
        game.close().await?;

        let boundaries = [Boundary::LengthOfAll(Prefix::U16Le), Boundary::Varint, Boundary::Line, Boundary::Byte(b';')];
        for boundary in boundaries {
            let game = cx.connect(Framed::new(Raw).framing(Framing { boundary, max: 1_000 })).await?;
            game.send(&b"one"[..])?;
            game.send(vec![7; 1_000])?;
            assert_eq!((game.recv().await?, game.recv().await?), (Bytes::from("one"), vec![7; 1_000].into()));
            assert_eq!(game.send(vec![7; 1_001]).unwrap_err().kind(), Kind::TOO_LARGE);
            game.close().await?;
        }
        let lines = Framing { boundary: Boundary::Line, max: 1_000 };
        let game = cx.connect(Framed::new(Raw).framing(lines)).await?;
        assert_eq!(game.send(&b"two\nlines"[..]).unwrap_err().kind(), Kind::MALFORMED);
        game.send(&b"and it goes on"[..])?;
        assert_eq!(game.recv().await?, &b"and it goes on"[..]);
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (5, 0), "{:?}", totals.samples);

    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for target in [at("tcp://", unused), at("", unused)] {
        let name = target.name().to_owned();
        let totals = bots!(1, target, None, Real, |cx| {
            cx.connect(Framed::new(Raw)).await?;
            Ok(())
        });
        assert_eq!(totals.steps["connect"].failures, [("refused".to_owned(), 1)]);
        let sample = totals.samples.first().unwrap();
        assert!(sample.message.contains(&format!("nobody listens at {name}: is the server running")), "{sample:?}");
    }
}

#[test]
fn an_oversized_frame_and_a_closing_server_end_the_connection() {
    let large = serve_tcp(|_| vec![0xFF; 10]);
    let totals = bots!(1, at("", large), None, Real, |cx| {
        let game = cx.connect(Framed::new(Raw)).await?;
        game.send(&b"x"[..])?;
        let failure = game.recv().await.unwrap_err();
        assert_eq!(failure.kind(), Kind::TOO_LARGE, "{failure}");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.accept().unwrap().0.read(&mut [0; 9]).unwrap());
    let totals = bots!(1, at("", addr), None, Real, |cx| {
        let game = cx.connect(Framed::new(Raw)).await?;
        game.send(&b"x"[..])?;
        let failure = game.recv().await.unwrap_err();
        assert_eq!(failure.kind(), Kind::CLOSED, "{failure}");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
}

/// Requests are numbers, replies are twice as much; what is not a reply is numbered 0.
struct Twice;

#[derive(Clone, Debug, PartialEq)]
struct Numbered {
    id: u32,
    value: u32,
}

impl Codec for Twice {
    type Out = Numbered;
    type In = Numbered;

    fn encode(&mut self, message: &Numbered, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.extend_from_slice(&message.id.to_le_bytes());
        out.extend_from_slice(&message.value.to_le_bytes());
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Numbered, Failure> {
        let word = |at: usize| bytes.get(at..at + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        let (Some(id), Some(value)) = (word(0), word(4)) else { return Err(malformed("a number", "it is short")) };
        Ok(Numbered { id, value })
    }
}

impl Calls for Twice {
    fn stamp(&mut self, message: &mut Numbered, id: u32) {
        message.id = id;
    }

    fn reply_to(&self, message: &Numbered) -> Option<u32> {
        (message.id != 0).then_some(message.id)
    }
}

struct Double(u32);

impl Request<Twice> for Double {
    type Reply = u32;

    fn into_out(self) -> Numbered {
        Numbered { id: 0, value: self.0 }
    }

    fn reply(message: Numbered) -> Result<u32, Failure> {
        Ok(message.value)
    }
}

/// A server of doubles in memory, on the shard's own thread: before each reply it says something else. It never
/// answers 99, closes at 100, talks nonsense at 101, and answers 98 after the request that follows it.
fn doubles() {
    tokio::task::spawn_local(async {
        let mut listener = mem::listen("doubles").unwrap();
        let now = Instant::now();
        let mut server = rudp::Server::new(rudp::Config::DEFAULT, 1_000, [3, 4], now);
        let mut buf = [0; 2_048];
        let mut packet = Vec::new();
        let mut held = None;
        loop {
            let due = server.deadline().unwrap_or(now + Duration::from_secs(3_600));
            let received = tokio::time::timeout_at(due, poll_fn(|cx| listener.poll_recv_from(cx, &mut buf))).await;
            match received {
                Ok((received, from)) => server.input(Instant::now(), from, &buf[..received.len]),
                Err(_) => server.timeout(Instant::now()),
            }
            while let Some((peer, event)) = server.poll_event() {
                let Event::Message { payload, .. } = event else { continue };
                let now = Instant::now();
                let request = Twice.decode(&payload).unwrap();
                let news = [0_u32.to_le_bytes(), request.value.to_le_bytes()].concat();
                server.send(now, peer, Channel::UNRELIABLE, &news).unwrap();
                let reply = [request.id.to_le_bytes(), (request.value * 2).to_le_bytes()].concat();
                match request.value {
                    98 => held = Some((peer, reply)),
                    99 => {}
                    100 => server.disconnect(now, peer, "enough"),
                    101 => server.send(now, peer, Channel::ORDERED, b"?!").unwrap(),
                    _ => server.send(now, peer, Channel::ORDERED, &reply).unwrap(),
                }
                if request.value != 98
                    && let Some((peer, late)) = held.take()
                {
                    server.send(now, peer, Channel::ORDERED, &late).unwrap();
                }
            }
            while let Some(to) = server.poll_transmit(Instant::now(), &mut packet) {
                listener.send_to(&packet, to);
                packet.clear();
            }
        }
    });
}

fn in_memory() -> Target {
    Target::new("mem://doubles", vec![])
}

#[test]
fn calls_find_their_replies_in_virtual_time() {
    let totals = bots!(100, in_memory(), Some(doubles), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Twice)).await?;
        for n in 0..50 {
            assert_eq!(cx.step("double", game.call(Double(n))).await?, n * 2);
        }
        // What came meanwhile waits.
        for n in 0..50 {
            assert_eq!(game.try_recv()?, Some(Numbered { id: 0, value: n }));
        }
        assert_eq!(game.try_recv()?, None);
        let (one, two, three) = tokio::join!(game.call(Double(1)), game.call(Double(2)), game.call(Double(3)));
        assert_eq!((one?, two?, three?), (2, 4, 6));
        let before = Instant::now();
        let silence = cx.step("silence", game.call(Double(99))).await.unwrap_err();
        assert_eq!((silence.kind(), silence.to_string().as_str()), ("timed-out", "no reply to Double within 5 s"));
        assert!(before.elapsed() >= Duration::from_secs(5) && before.elapsed() < Duration::from_millis(5_100));
        cx.sleep(Duration::from_secs(2)).await;
        game.close().await?;
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (100, 0), "{:?}", totals.samples);
    assert_eq!(totals.steps["double"].succeeded(), 5_000);
    assert!(totals.trends["net.rtt"].values.count() > 1_000);
    assert!(
        !totals.counts.contains_key("net.resends") && !totals.counts.contains_key("net.lost"),
        "{:?}",
        totals.counts
    );
}

/// A KCP server that echoes, in memory, on the shard's own thread.
fn kcp_echo() {
    tokio::task::spawn_local(async {
        let server = kcp::Server::new(kcp::Config::FAST, 1_000, [3, 4]);
        let mut host = kcp::Host::new(server, Endpoint::listen_mem("kcp").unwrap());
        while let Ok((peer, event)) = host.next().await {
            if let Event::Message { channel, payload } = event {
                host.send(peer, channel, &payload).unwrap();
            }
        }
    });
}

#[test]
fn kcp_bots_play_in_virtual_time() {
    let totals = bots!(100, Target::new("mem://kcp", vec![]), Some(kcp_echo), Virtual, |cx| {
        let game = cx.connect(Kcp::new(Raw)).await?;
        let slow = kcp::Config { conv: Some(cx.seat().index() as u32), ..kcp::Config::NORMAL };
        let other = cx.connect(Kcp::new(Raw).config(slow)).await?;
        assert_ne!(game.with_protocol(kcp::Session::conv), 0);
        assert_eq!(u64::from(other.with_protocol(kcp::Session::conv)), cx.seat().index());
        let refused = game.send_on(Channel::UNRELIABLE, Bytes::new()).unwrap_err();
        assert_eq!(refused.kind(), Kind::TARGET);
        for len in [0, 1, 1_376, 1_377, 50_000] {
            let message = Bytes::from(vec![len as u8; len]);
            for (name, game) in [("fast", &game), ("normal", &other)] {
                let echo = cx.step(name, async {
                    game.send(message.clone())?;
                    game.recv().await
                });
                assert_eq!(echo.await?, message);
            }
        }
        other.close().await?;
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (100, 0), "{:?}", totals.samples);
    assert!(totals.trends["net.rtt"].values.count() >= 1_000);
    assert!(!totals.counts.contains_key("net.resends"), "{:?}", totals.counts);
}

#[test]
fn kcp_bots_share_a_socket() {
    let (tell, addr) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(endpoint.local_addr().unwrap()).unwrap();
            let mut host = kcp::Host::new(kcp::Server::new(kcp::Config::FAST, 100, [3, 4]), endpoint);
            let mut from = std::collections::HashSet::new();
            while let Ok((peer, event)) = host.next().await {
                from.extend(host.server().addr(peer));
                if let Event::Message { channel, .. } = event {
                    host.send(peer, channel, &[from.len() as u8]).unwrap();
                }
            }
        });
    });
    let totals = bots!(50, at("", addr.recv().unwrap()), None, Real, |cx| {
        let game = cx.connect(Kcp::new(Raw).shared(std::num::NonZeroU32::MIN)).await?;
        for _ in 0..5 {
            game.send(&b"from how many?"[..])?;
            assert_eq!(game.recv().await?, &[1][..]);
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (50, 0), "{:?}", totals.samples);
}

#[test]
fn replies_are_for_their_callers_alone() {
    let totals = bots!(1, in_memory(), Some(doubles), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Twice)).await?;
        // Somebody else receives all the time.
        let news = RefCell::new(Vec::new());
        let listen = async {
            loop {
                let message = game.recv().await;
                news.borrow_mut().push(message);
            }
        };
        let ask = async {
            for n in 0..20 {
                assert_eq!(game.call(Double(n)).await?, n * 2);
            }
            // A call that is given up, by time or by being dropped: its reply reaches nobody.
            let before = Instant::now();
            let late = game.call(Double(98)).within(Duration::from_millis(1_500)).await.unwrap_err();
            assert_eq!((late.kind(), late.message()), (Kind::TIMED_OUT, "no reply to Double within 1.5 s"));
            assert!(before.elapsed() < Duration::from_millis(1_600));
            assert_eq!(game.call(Double(1)).within(Duration::MAX).await?, 2);
            tokio::select! {
                biased;
                reply = game.call(Double(98)) => panic!("{reply:?}"),
                () = cx.sleep(Duration::from_millis(50)) => {}
            }
            assert_eq!(game.call(Double(2)).await?, 4);
            cx.sleep(Duration::from_millis(50)).await;
            Ok::<_, Failure>(())
        };
        tokio::select! {
            biased;
            () = listen => {}
            done = ask => done?,
        }
        let news: Vec<_> = news.take().into_iter().collect::<Result<_, _>>()?;
        let expected = (0..20).chain([98, 1, 98, 2]).map(|value| Numbered { id: 0, value });
        assert_eq!(news, expected.collect::<Vec<_>>());
        cx.step("leave", game.close()).await
    });
    assert_eq!((totals.finished, totals.failed()), (1, 0), "{:?}", totals.samples);
    assert_eq!(totals.counts["net.late_replies"], 2);
    assert_eq!(totals.steps["leave"].succeeded(), 1);
}

#[test]
fn an_arrival_is_that_of_the_message_handed_out_last() {
    let totals = bots!(1, in_memory(), Some(doubles), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Twice)).await?;
        assert_eq!(game.last_arrival(), None);
        let mut asked = Vec::new();
        for n in 0..3 {
            assert_eq!(game.call(Double(n)).await?, n * 2);
            asked.push(game.last_arrival().unwrap());
            cx.sleep(Duration::from_millis(100)).await;
        }
        for at in asked {
            game.try_recv()?.unwrap();
            let late = game.last_arrival().unwrap().saturating_duration_since(at);
            assert!(late <= Duration::from_millis(1) && at <= game.last_arrival().unwrap(), "{late:?}");
        }
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    // That the bot left them waiting is no lag of the kit's.
    assert!(totals.trends["loadkit.wake_lag"].values.quantile(1.0) < 1_000);
}

#[test]
fn closing_ends_with_the_last_goodbye() {
    let totals = bots!(10, in_memory(), Some(doubles), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Twice)).await?;
        game.call(Double(1)).await?;
        // The goodbye waits for the ack of this, and ends the connection after the turn in which the ack came.
        game.send(Numbered { id: 0, value: 5 })?;
        let before = Instant::now();
        game.close().await?;
        assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
}

#[test]
fn inboxes_are_bounded_and_nonsense_is_counted() {
    let totals = bots!(1, in_memory(), Some(doubles), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Twice).inbox(10)).await?;
        for n in 0..30 {
            assert_eq!(game.call(Double(n)).await?, n * 2);
        }
        let mut waiting = 0;
        while game.try_recv()?.is_some() {
            waiting += 1;
        }
        // The replies took no place.
        assert_eq!(waiting, 10);
        game.send(Numbered { id: 0, value: 101 })?;
        let both = [game.recv().await, game.recv().await].map(|message| message.map_err(|failure| failure.kind()));
        assert!(both.contains(&Ok(Numbered { id: 0, value: 101 })) && both.contains(&Err(Kind::MALFORMED)), "{both:?}");
        assert_eq!(game.call(Double(4)).await?, 8, "the connection goes on");
        let closed = game.call(Double(100)).await.unwrap_err();
        assert_eq!(closed.kind(), Kind::CLOSED);
        assert!(closed.message().ends_with("enough"), "{closed}");
        assert!(!game.is_open());
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    assert_eq!((totals.counts["net.malformed"], totals.counts["net.inbox_dropped"]), (1, 20));
}

#[test]
fn other_tasks_of_the_bot_may_wait_and_send() {
    let totals = bots!(3, in_memory(), Some(doubles), Virtual, |cx| {
        // Connected, used and dropped by a task that is not the bot's.
        let inner = cx.clone();
        let game = tokio::task::spawn_local(async move { inner.connect(Rudp::new(Twice)).await }).await??;
        let game = Rc::new(game);
        let news = Rc::new(RefCell::new(Vec::new()));
        let (heard, listener) = (news.clone(), game.clone());
        let task = tokio::task::spawn_local(async move {
            while let Ok(message) = listener.recv().await {
                heard.borrow_mut().push(message.value);
            }
        });
        let (done, caller, clock) = (Rc::new(Cell::new(0)), game.clone(), cx.clone());
        let counter = done.clone();
        let calls = tokio::task::spawn_local(async move {
            for n in 0..10 {
                caller.send(Numbered { id: 0, value: n }).unwrap();
                clock.sleep(Duration::from_millis(30)).await;
                counter.set(n);
            }
        });
        calls.await?;
        cx.sleep(Duration::from_millis(100)).await;
        assert_eq!((done.get(), news.borrow().len()), (9, 20));
        game.close().await?;
        Ok(task.await?)
    });
    assert_eq!((totals.finished, totals.failed()), (3, 0), "{:?}", totals.samples);
}

#[test]
fn connecting_to_nobody_fails_in_time() {
    let totals = bots!(1, Target::new("mem://nobody", vec![]), None, Virtual, |cx| {
        assert_eq!(cx.connect(Rudp::new(Raw)).await.err().unwrap().kind(), "refused");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let totals = bots!(1, at("udp://", silent.local_addr().unwrap()), None, Real, |cx| {
        let error: Error = cx.connect(Rudp::new(Raw).time_out(Duration::from_millis(250))).await.err().unwrap();
        assert_eq!(error.kind(), "timed-out");
        assert!(error.to_string().contains("did not answer within 0.25 s: is the server running?"), "{error}");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    drop(silent);
    let unused = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let totals = bots!(1, at("", unused), None, Real, |cx| {
        let error = cx.connect(Rudp::new(Raw)).await.err().unwrap();
        assert_eq!(error.kind(), "refused", "{error}");
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    let totals = bots!(1, Target::new("http://x", vec![]), None, Real, |cx| {
        assert_eq!(cx.connect(Rudp::new(Raw)).await.err().unwrap().kind(), "target");
        Ok(())
    });
    assert_eq!(totals.failed(), 0);
}

#[test]
fn dropping_a_connection_says_goodbye() {
    static GONE: Mutex<usize> = Mutex::new(0);
    fn server() {
        tokio::task::spawn_local(async {
            let mut listener = mem::listen("leavers").unwrap();
            let mut server = rudp::Server::new(rudp::Config::DEFAULT, 10, [3, 4], Instant::now());
            let (mut buf, mut packet) = ([0; 2_048], Vec::new());
            loop {
                let (received, from) = poll_fn(|cx| listener.poll_recv_from(cx, &mut buf)).await;
                server.input(Instant::now(), from, &buf[..received.len]);
                while let Some(to) = server.poll_transmit(Instant::now(), &mut packet) {
                    listener.send_to(&packet, to);
                    packet.clear();
                }
                let closed =
                    std::iter::from_fn(|| server.poll_event()).filter(|(_, event)| matches!(event, Event::Closed(_)));
                *GONE.lock().unwrap() += closed.count();
            }
        });
    }
    let totals = bots!(5, Target::new("mem:leavers", vec![]), Some(server), Virtual, |cx| {
        let game = cx.connect(Rudp::new(Raw)).await?;
        drop(game);
        cx.sleep(Duration::from_millis(1)).await;
        Ok(())
    });
    assert_eq!((totals.failed(), *GONE.lock().unwrap()), (0, 5));
}

#[test]
fn a_protocol_of_ones_own_over_a_link_of_ones_own() {
    fn server() {
        tokio::task::spawn_local(async {
            let mut listener = mem::listen("echo").unwrap();
            let mut buf = [0; 2_048];
            loop {
                let (received, from) = poll_fn(|cx| listener.poll_recv_from(cx, &mut buf)).await;
                listener.send_to(&buf[..received.len], from);
            }
        });
    }
    let totals = bots!(3, Target::new("nowhere", vec![]), Some(server), Virtual, |cx| {
        let dial = Dial::speaking(|_: &Cx| Plain::new(100), Raw).over(mem::Mem::connect("echo")?);
        let game: Connection<Plain, Raw> = cx.connect(dial).await?;
        assert_eq!(game.send(vec![0; 101]).unwrap_err().kind(), Kind::TOO_LARGE);
        game.send(&b"me"[..])?;
        assert_eq!(game.recv().await?, &b"me"[..]);
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (3, 0), "{:?}", totals.samples);
}

#[test]
fn sizes() {
    // What the futures add to a bot that awaits them: it keeps room for the largest.
    bots!(1, in_memory(), Some(doubles), Virtual, |cx| {
        assert!(size_of_val(&cx.connect(Rudp::new(Twice))) <= 160, "{}", size_of_val(&cx.connect(Rudp::new(Twice))));
        let game = cx.connect(Rudp::new(Twice)).await?;
        let sizes = [size_of_val(&game.recv()), size_of_val(&game.call(Double(1))), size_of_val(&game.close())];
        assert!(sizes[0] <= 16 && sizes[1] <= 200 && sizes[2] <= 120, "{sizes:?}");
        Ok(())
    });
    // What an idle connection holds, besides the runtime's registration of its socket (and 24 bytes of `Rc<RefCell>`).
    let sizes = [size_of::<Core<Plain, Raw>>(), size_of::<Core<rudp::Client, Raw>>()];
    assert!(sizes[0] <= 208 && sizes[1] <= 264, "{sizes:?}");
}
