//! Bots that speak ENet, with a server of our own.

use std::num::NonZeroU32;

use super::*;
use crate::enet::{Config, Enet, Host as EnetHost, Server};
use crate::{Delivery, Endpoint};

const SLOW: Channel = Channel::new(Delivery::Ordered, 1);
const CONFIG: Config = Config { channels: 2, data: 9, ..Config::DEFAULT };

/// Echoes each message where it came from.
async fn echo(mut host: EnetHost) {
    while let Ok((peer, event)) = host.next().await {
        match event {
            Event::Connected => assert_eq!(host.server().session(peer).unwrap().data(), 9),
            Event::Message { payload, .. } if &payload[..] == b"enough" => host.disconnect(peer, &5),
            Event::Message { channel, payload } => host.send(peer, channel, &payload).unwrap(),
            _ => {}
        }
    }
}

fn in_memory_host() {
    tokio::task::spawn_local(async {
        let server = Server::new(CONFIG, 1_000, [1, 2], Instant::now());
        echo(EnetHost::new(server, Endpoint::listen_mem("enet").unwrap())).await;
    });
}

#[test]
fn bots_play_in_virtual_time() {
    let target = Target::new("mem://enet", vec![]);
    let totals = bots!(100, target, Some(in_memory_host), Virtual, |cx| {
        let game = cx.connect(Enet::new(Raw).config(CONFIG)).await?;
        for n in 0..50_u8 {
            let echo = cx.step("echo", async {
                game.send_on(SLOW, vec![n; 2_000])?;
                game.recv().await
            });
            assert_eq!(echo.await?, vec![n; 2_000]);
            cx.sleep(Duration::from_millis(100)).await;
        }
        let refused = game.send_on(Channel::UNORDERED, Bytes::new()).unwrap_err();
        assert_eq!(refused.kind(), Kind::TARGET);
        if cx.seat().index().is_multiple_of(2) {
            return game.close().await;
        }
        game.send(Bytes::from_static(b"enough"))?;
        let end = game.recv().await.unwrap_err();
        assert_eq!(end.message(), "the other side closed the connection with the word 5");
        assert_eq!(game.with_protocol(|client| client.session().unwrap().goodbye()), 5);
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (100, 0), "{:?}", totals.samples);
    assert_eq!(totals.steps["echo"].succeeded(), 5_000);
    assert!(totals.trends["net.rtt"].values.count() > 5_000);
}

#[test]
fn bots_share_sockets() {
    // A server on a thread of its own, that tells which addresses its peers come from.
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let addrs = Arc::new(Mutex::new(Vec::new()));
    let seen = addrs.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(CONFIG, 1_000, [1, 2], Instant::now());
            let mut host = EnetHost::new(server, Endpoint::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap());
            tell.send(host.local_addr().unwrap()).unwrap();
            while let Ok((peer, event)) = host.next().await {
                match event {
                    Event::Connected => seen.lock().unwrap().push(host.server().addr(peer).unwrap()),
                    Event::Message { channel, payload } => host.send(peer, channel, &payload).unwrap(),
                    _ => {}
                }
            }
        });
    });
    let addr = told.recv().unwrap();
    let totals = bots!(200, at("udp://", addr), None, Real, |cx| {
        let two = NonZeroU32::new(2).unwrap();
        let game = cx.connect(Enet::new(Raw).config(CONFIG).shared(two)).await?;
        for _ in 0..10 {
            let mine = cx.seat().index().to_le_bytes().to_vec();
            game.send(mine.clone())?;
            assert_eq!(game.recv().await?, mine);
        }
        game.close().await
    });
    assert_eq!((totals.finished, totals.failed()), (200, 0), "{:?}", totals.samples);
    let mut addrs = addrs.lock().unwrap().clone();
    assert_eq!(addrs.len(), 200);
    addrs.sort();
    addrs.dedup();
    assert_eq!(addrs.len(), 2);
}
