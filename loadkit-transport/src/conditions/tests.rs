//! What each condition does to a connection, in virtual time.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadkit_core::network::{Bursts, Direction, Jitter, Line, Mtu, Outages, Profile, Queue, Reorder, Spread};
use loadkit_core::{Cx, Result, Seed, Target, Totals, Virtual};
use tokio::time::Instant;

use super::Conditioned;
use crate::link::{Link, Received};
use crate::mem::{self, Mem};
use crate::tests::{Play, Real, play, serve_tcp};
use crate::{Bytes, Channel, Connection, Datagram, Endpoint, Event, Framed, Plain, Raw, Rudp, rudp};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Answers every datagram with itself and the address from which it came.
fn echo() {
    let mut listener = mem::listen("echo").unwrap();
    tokio::task::spawn_local(async move {
        let mut buf = [0; 2_048];
        loop {
            let (received, from) = poll_fn(|cx| listener.poll_recv_from(cx, &mut buf)).await;
            listener.send_to(&[&buf[..received.len], from.to_string().as_bytes()].concat(), from);
        }
    });
}

fn bot(server: fn(), body: Play) -> Totals {
    let totals = play(1, Target::new("mem://echo", vec![]), Some(server), Arc::new(Virtual), body);
    assert_eq!((totals.finished, totals.failed()), (1, 0), "{:?}", totals.samples);
    totals
}

macro_rules! bot {
    ($server:expr, |$cx:ident| $body:block) => {
        bot($server, Box::new(|$cx: &Cx| Box::pin(async move { $body })))
    };
}

fn way() -> Direction {
    Direction::default()
}

fn profile(up: Direction, down: Direction) -> Profile {
    Profile::new("test", up, down).unwrap()
}

async fn dial(cx: &Cx, profile: Profile) -> Result<Connection<Plain, Raw>> {
    cx.connect(Datagram::new(Raw).conditions(profile)).await
}

/// Sends so many, so far apart, and hears what comes for a second after.
async fn talk(cx: &Cx, game: &Connection<Plain, Raw>, count: u32, apart: Duration) -> Result<Vec<Bytes>> {
    let mut heard = Vec::new();
    for n in 0..count {
        game.send(n.to_be_bytes().to_vec())?;
        cx.sleep(apart).await;
        while let Some(echo) = game.try_recv()? {
            heard.push(echo);
        }
    }
    cx.sleep(SECOND).await;
    while let Some(echo) = game.try_recv()? {
        heard.push(echo);
    }
    Ok(heard)
}

fn number(echo: &Bytes) -> u32 {
    u32::from_be_bytes(echo[..4].try_into().unwrap())
}

#[test]
fn latency_is_in_the_time_of_arrival() {
    bot!(echo, |cx| {
        let down = Direction { latency: 40 * MS + MS / 3, ..way() };
        let game = dial(cx, profile(way(), down)).await?;
        for _ in 0..20 {
            let sent = Instant::now();
            game.send(&b"ping"[..])?;
            game.recv().await?;
            // Not when the coarse timer of virtual time woke for it.
            assert_eq!(game.last_arrival().unwrap() - sent, 40 * MS + MS / 3);
            assert!(sent.elapsed() < 43 * MS);
            cx.sleep(7 * MS).await;
        }
        Ok(())
    });
    bot!(echo, |cx| {
        let game = dial(cx, profile(Direction { latency: 40 * MS, ..way() }, way())).await?;
        let sent = Instant::now();
        game.send(&b"ping"[..])?;
        game.recv().await?;
        assert!(sent.elapsed() >= 40 * MS && sent.elapsed() < 43 * MS);
        Ok(())
    });
}

#[test]
fn the_perfect_network_costs_nothing() {
    let totals = bot!(echo, |cx| {
        let game = dial(cx, Profile::perfect()).await?;
        let heard = talk(cx, &game, 100, MS).await?;
        assert_eq!(heard.iter().map(number).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        Ok(())
    });
    assert!(!totals.counts.keys().any(|name| name.starts_with("net.conditions")), "{:?}", totals.counts);
}

#[test]
fn losses_doubles_and_overtaking_are_counted_as_they_happen() {
    let totals = bot!(echo, |cx| {
        let up = Direction { latency: 20 * MS, loss: 0.1, reorder: Some(Reorder { share: 0.2, by: 20 * MS }), ..way() };
        let bursts = Bursts { worsens: 0.05, recovers: 0.25, loss_good: 0.0, loss_bad: 0.6 };
        let down = Direction { latency: 10 * MS, duplicate: 0.1, bursts: Some(bursts), ..way() };
        let game = dial(cx, profile(up, down)).await?;
        let heard = talk(cx, &game, 5_000, 5 * MS).await?;
        cx.count("heard", heard.len() as u64);
        cx.count("overtaken", heard.windows(2).filter(|pair| number(&pair[0]) > number(&pair[1])).count() as u64);
        Ok(())
    });
    let count = |name: &str| totals.count(name);
    // Up 5,000, and down what came through.
    let lost_up = 2 * 5_000 - count("net.conditions.sent");
    let lost_down = count("net.conditions.lost") - lost_up;
    assert!((440..=560).contains(&lost_up), "{lost_up} of 5,000");
    assert!((360..=540).contains(&lost_down), "{lost_down} of 4,500, of which a tenth");
    assert_eq!(count("heard"), 5_000 - lost_up - lost_down + count("net.conditions.duplicated"));
    assert!((350..=470).contains(&count("net.conditions.duplicated")));
    assert!((900..=1_100).contains(&count("net.conditions.reordered")));
    assert!(count("overtaken") > 600, "{}", count("overtaken"));
}

#[test]
fn a_line_and_its_mtu_hold_up_what_is_too_much() {
    let totals = bot!(echo, |cx| {
        // 128 bytes on the line, and so 10 ms each.
        let line = Some(Line { bits_per_second: 102_400, queue: Queue::Time(50 * MS) });
        let game =
            dial(cx, profile(Direction { line, mtu: Some(Mtu { bytes: 500, drops: true }), ..way() }, way())).await?;
        let start = Instant::now();
        for _ in 0..20 {
            game.send(vec![7; 100])?;
        }
        game.send(vec![7; 473])?;
        let mut last = start;
        while let Ok(echo) = tokio::time::timeout(SECOND, game.recv()).await {
            echo?;
            last = game.last_arrival().unwrap();
            cx.count("heard", 1);
        }
        assert!(last - start >= 60 * MS && last - start <= 62 * MS, "{:?}", last - start);
        Ok(())
    });
    assert_eq!(totals.count("heard"), 6, "one on the line, and five before it");
    assert_eq!((totals.count("net.conditions.queue_drops"), totals.count("net.conditions.mtu_drops")), (14, 1));
}

#[test]
fn outages_are_the_seats_and_last_as_long_as_asked() {
    let totals = bot!(echo, |cx| {
        let outages = Outages { every: SECOND, lasts: 200 * MS };
        let profile = profile(Direction { latency: MS, ..way() }, way()).with_outages(outages).unwrap();
        for _ in 0..2 {
            let game = dial(cx, profile.clone()).await?;
            let heard = talk(cx, &game, 1_000, 10 * MS).await?;
            for pair in heard.windows(2).filter(|pair| number(&pair[1]) > number(&pair[0]) + 1) {
                assert!((19..=22).contains(&(number(&pair[1]) - number(&pair[0]))), "{pair:?}");
                cx.count("outages", 1);
            }
            game.close().await?;
        }
        Ok(())
    });
    assert!((18..=24).contains(&totals.count("outages")), "{}", totals.count("outages"));
    let dropped = totals.count("net.conditions.outage_drops");
    assert!((370..=420).contains(&dropped), "{dropped} of 2,000, of which a fifth");
}

#[test]
fn an_address_changes_in_mid_game() {
    let totals = bot!(echo, |cx| {
        let profile = profile(way(), way()).with_new_address(SECOND).unwrap();
        let game = dial(cx, profile.clone()).await?;
        let heard = talk(cx, &game, 100, 100 * MS).await?;
        let addrs: BTreeSet<SocketAddr> =
            heard.iter().map(|echo| std::str::from_utf8(&echo[4..]).unwrap().parse().unwrap()).collect();
        assert!((10..=12).contains(&addrs.len()), "{addrs:?}");
        assert!(heard.len() > 95, "{}", heard.len());
        game.close().await?;
        let pool = Arc::new("10.0.0.1-10.0.0.4".parse().unwrap());
        let game: Connection<Plain, Raw> = cx.connect(Datagram::new(Raw).conditions(profile).sources(pool)).await?;
        let heard = talk(cx, &game, 100, 100 * MS).await?;
        let last = std::str::from_utf8(&heard.last().unwrap()[4..]).unwrap();
        assert!(last.starts_with("10.0.0."), "{last}");
        Ok(())
    });
    let changes = totals.count("net.conditions.address_changes");
    assert!((21..=24).contains(&changes), "{changes}");
    assert_eq!(totals.count("net.conditions.address_changes_failed"), 0);
}

/// A game server that counts how its players left.
fn polite() {
    let server = rudp::Server::new(rudp::Config::DEFAULT, 100, [1, 2], Instant::now());
    let mut host = rudp::Host::new(server, Endpoint::listen_mem("echo").unwrap());
    tokio::task::spawn_local(async move {
        let began = Instant::now();
        while let Ok((peer, event)) = host.next().await {
            match event {
                Event::Message { channel, payload } => host.send(peer, channel, &payload).unwrap(),
                Event::Closed(failure) => {
                    assert_eq!(failure.kind(), loadkit_core::Kind::CLOSED, "{failure}");
                    assert!(began.elapsed() < 14 * SECOND, "it was told, and did not have to wait");
                    LEFT.with_borrow_mut(|left| *left += 1);
                }
                _ => {}
            }
        }
    });
}

thread_local! {
    static LEFT: RefCell<u32> = const { RefCell::new(0) };
}

#[test]
fn a_whole_protocol_plays_over_a_bad_network_and_says_goodbye() {
    let totals = bot!(polite, |cx| {
        let lossy = |way: &Direction| Direction { loss: 0.05, ..*way };
        let lossy = profile(lossy(Profile::lte().up()), lossy(Profile::lte().down()));
        let game = cx.connect(Rudp::new(Raw).conditions(lossy)).await?;
        for n in 0..100_u8 {
            game.send_on(Channel::ORDERED, vec![n; 10])?;
            assert_eq!(game.recv().await?, vec![n; 10]);
        }
        // It stays, closed; what it has sent gets there all the same.
        game.close().await?;
        let other = cx.connect(Rudp::new(Raw).conditions(Profile::lte())).await?;
        drop(other);
        cx.sleep(MS * 100).await;
        LEFT.with_borrow(|left| assert_eq!(*left, 2));
        Ok(())
    });
    let (resends, sent) = (totals.count("net.resends"), totals.count("net.packets_sent"));
    assert!(resends > 0 && resends < sent, "{resends} of {sent}");
    let rtt = &totals.trends["net.rtt"].values;
    assert!(rtt.min() >= 40_000, "{} µs", rtt.min());
    assert!(rtt.mean() > 45_000.0 && rtt.mean() < 62_000.0, "{} µs", rtt.mean());
}

#[test]
fn the_same_seed_is_the_same_network_and_connections_differ() {
    let run = || {
        bot!(echo, |cx| {
            for _ in 0..2 {
                let jitter = Some(Jitter { spread: Spread::Exponential(10 * MS), wanders: 50 * MS });
                let up = Direction { loss: 0.5, jitter, ..way() };
                let game = dial(cx, profile(up, way())).await?;
                let heard = talk(cx, &game, 64, 10 * MS).await?;
                let mask = heard.iter().fold(0_u64, |mask, echo| mask | 1 << number(echo));
                cx.count(&format!("{mask:x}"), 1);
                cx.trend("arrival", cx.elapsed());
            }
            Ok(())
        })
    };
    let (one, two) = (run(), run());
    assert!(one == two);
    let masks = one.counts.keys().filter(|name| u64::from_str_radix(name, 16).is_ok()).count();
    assert_eq!(masks, 2, "{:?}", one.counts);
}

/// A stream in memory whose far end is its own.
#[derive(Clone, Default)]
struct Loop(Rc<RefCell<(VecDeque<Vec<u8>>, bool)>>);

impl Link for Loop {
    fn poll_recv(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let (frames, is_closed) = &mut *self.0.borrow_mut();
        match frames.pop_front() {
            Some(frame) => {
                buf[..frame.len()].copy_from_slice(&frame);
                Poll::Ready(Ok(Received { len: frame.len(), at: None }))
            }
            None if *is_closed => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            None => Poll::Pending,
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().0.push_back(message.to_vec());
        Ok(())
    }

    fn is_stream(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_stalls_and_ends_after_its_last_frame() {
    let beneath = Loop::default();
    let direction = Direction { latency: 10 * MS, loss: 0.1, ..way() };
    let outages = Outages { every: SECOND, lasts: 300 * MS };
    let profile = profile(direction, direction).with_outages(outages).unwrap().with_new_address(SECOND).unwrap();
    let mut link = Conditioned::new(beneath.clone(), &profile, Seed(3), Instant::now());
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = [0; 16];
    let (mut heard, mut last) = (Vec::new(), Instant::now());
    for n in 0..200_u32 {
        link.try_send(&n.to_be_bytes()).unwrap();
        tokio::time::advance(10 * MS).await;
        assert!(link.queued() > 0 || link.up().is_empty());
        while let Poll::Ready(received) = link.poll_recv(&mut cx, &mut buf) {
            let at = received.unwrap().at.unwrap();
            assert!(at >= last);
            last = at;
            heard.push(u32::from_be_bytes(buf[..4].try_into().unwrap()));
        }
    }
    let end = loop {
        // The far end closes when it has sent all that it has received.
        beneath.0.borrow_mut().1 = link.up().is_empty();
        match link.poll_recv(&mut cx, &mut buf) {
            Poll::Ready(Ok(_)) => heard.push(u32::from_be_bytes(buf[..4].try_into().unwrap())),
            Poll::Ready(Err(error)) => break error,
            Poll::Pending => {
                let due = link.deadline().unwrap();
                tokio::time::advance(due.saturating_duration_since(Instant::now()).max(MS)).await;
            }
        }
    };
    assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    assert!(link.up().counts().lost > 10 && link.up().counts().dropped_by_outage > 30, "{:?}", link.up());
    assert_eq!(heard, (0..200).collect::<Vec<_>>());
}

#[test]
fn frames_over_tcp_take_their_time_and_closing_waits_for_them() {
    let addr = serve_tcp(<[u8]>::to_vec);
    let target = Target::new(format!("tcp://{addr}"), vec![addr]);
    let body: Play = Box::new(|cx: &Cx| {
        Box::pin(async move {
            let way = Direction { latency: 10 * MS, ..way() };
            let began = Instant::now();
            let game: Connection<Plain, Raw> = cx.connect(Framed::new(Raw).conditions(profile(way, way))).await?;
            assert!(began.elapsed() >= 20 * MS, "its handshake takes a round trip");
            let sent = Instant::now();
            for n in 0..50_u8 {
                game.send(vec![n; 2_000])?;
            }
            for n in 0..50_u8 {
                assert_eq!(game.recv().await?, vec![n; 2_000]);
                assert!(game.last_arrival().unwrap() >= sent + 20 * MS);
            }
            game.send(&b"bye"[..])?;
            let closing = Instant::now();
            game.close().await?;
            assert!(closing.elapsed() >= 10 * MS, "what was sent is on its way for so long");
            Ok(())
        })
    });
    let totals = play(1, target, None, Arc::new(Real), body);
    assert_eq!((totals.finished, totals.failed()), (1, 0), "{:?}", totals.samples);
    assert_eq!(totals.count("net.conditions.sent"), 101);
}

#[tokio::test(start_paused = true)]
async fn idle_it_holds_nothing_and_floods_meet_a_bound() {
    let mut server = mem::listen("flood").unwrap();
    let slow = profile(Direction { latency: SECOND, ..way() }, Direction { latency: SECOND, ..way() });
    let mut link = Conditioned::new(Mem::connect("flood").unwrap(), &slow, Seed(3), Instant::now());
    assert_eq!(link.deadline(), None);
    link.try_send(b"hello").unwrap();
    tokio::time::advance(SECOND).await;
    let (mut cx, mut buf) = (Context::from_waker(Waker::noop()), [0; 100]);
    assert!(link.poll_recv(&mut cx, &mut buf).is_pending());
    let (_, from) = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await;
    for _ in 0..100 {
        for _ in 0..200 {
            server.send_to(&[7; 60], from);
        }
        while link.poll_recv(&mut cx, &mut buf).is_ready() {}
    }
    assert!(link.down().len() <= 4_097 && link.down().counts().dropped_by_queue > 1_000, "{:?}", link.down());
    tokio::time::advance(SECOND).await;
    while link.poll_recv(&mut cx, &mut buf).is_ready() {}
    while link.poll_recv(&mut cx, &mut buf).is_ready() {}
    tokio::time::advance(SECOND).await;
    while link.poll_recv(&mut cx, &mut buf).is_ready() {}
    assert!(link.up().is_empty() && link.down().is_empty() && link.deadline().is_none());
}
