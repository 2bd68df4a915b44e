//! What `loadkit-build` makes of a schema: the same bytes as plain Protobuf, and calls that find their replies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::LazyLock;
use std::time::Duration;

use loadkit::core::Seed;
use loadkit::transport::protobuf::prost::Message;
use loadkit::transport::protobuf::{Envelope, Enveloped, Opcodes, Outcome, Paged, Wire};
use loadkit::transport::{Bytes, Channel, Codec, Endpoint, Event, Rudp, rudp};
use loadkit::{Bot, Cx, Kind, Plan, Result, RunInfo, Scenario, Seat};
use loadkit_tests::Simulation;
use loadkit_tests::samples::{Sample, samples};
use loadkit_tests::schema::common::{Ping, Pong, Tagged};
use loadkit_tests::schema::{
    self, Browse, Buy, Dated, FromClient, FromServer, Item, Move, Moved, News, Purchase, Refused, ShopPage,
};
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tokio::time::Instant;

#[test]
fn typed_messages_are_the_plain_ones_of_their_schema() {
    let pool = DescriptorPool::decode(schema::DESCRIPTORS).unwrap();
    for sample in samples(Seed(1), 100) {
        let plain = pool.get_message_by_name(sample.tree["type"].as_str().unwrap()).unwrap();
        let read = DynamicMessage::decode(plain, sample.bytes.as_slice()).unwrap();
        assert_eq!(read.encode_to_vec(), sample.bytes, "{}", sample.tree);
        assert_eq!(read.unknown_fields().count(), 0, "{}", sample.tree);
        assert_eq!((sample.again)(&sample.bytes), Some(sample.bytes), "{}", sample.tree);
    }
}

#[test]
fn the_tables_are_those_of_the_schema() {
    let names = |messages: &[(u32, &'static str)]| messages.to_vec();
    assert_eq!(names(FromClient::MESSAGES), [(3, "Move"), (4, "Buy"), (5, "Browse"), (30, "Ping")]);
    let from_server = [(10, "Refused"), (13, "Moved"), (14, "Purchase"), (15, "ShopPage"), (20, "News"), (31, "Pong")];
    assert_eq!(names(FromServer::MESSAGES), from_server);
    assert_eq!((News::OPCODE, News::NAME, FromServer::name(20), FromServer::name(3)), (20, "News", Some("News"), None));
    assert_eq!(FromServer::from(News::default()).channel(), Channel::SEQUENCED);
    assert_eq!(FromClient::from(Move::default()).channel(), Channel::UNORDERED);
    assert_eq!(FromClient::from(Buy::default()).channel(), Channel::ORDERED);
}

#[test]
fn a_field_without_presence_is_replaced_as_bytes_are() {
    type OfMoves = Dated<Move, Move>;
    // Twice the field 3, each with one field of the move.
    let twice = [0x1a, 2, 8, 1, 0x1a, 2, 16, 2];
    assert_eq!(OfMoves::decode(&twice[..]).unwrap().value, Move { dx: 0, dy: 1 });
    assert!(OfMoves::default().encode_to_vec().is_empty());
    assert_eq!(OfMoves { before: Some(Move::default()), ..OfMoves::default() }.encode_to_vec(), [0x22, 0]);
}

/// The server: it does what a client's own messages ask for.
async fn serve() {
    let server = rudp::Server::new(rudp::Config::DEFAULT, 100, [1, 2], Instant::now());
    let mut host = rudp::Host::new(server, Endpoint::listen_mem("echo").unwrap());
    let (mut codec, mut bytes) = (Enveloped::<FromClient>::new(), Vec::new());
    while let Ok((peer, event)) = host.next().await {
        let Event::Message { payload, .. } = event else { continue };
        let request = codec.decode(&payload).unwrap();
        let refused = |words: &str| Refused { words: words.to_owned(), ..Refused::default() };
        let news = News { price: Dated { since_ms: request.seq, ..Dated::default() }, ..News::default() };
        let answer = match request.body {
            FromClient::Move(order) if order.dx == 0 => Envelope::answering(request.seq, refused("stand still")),
            FromClient::Move(order) if order.dx < 0 => Envelope::answering(request.seq, ShopPage::default()),
            FromClient::Move(order) if order.dx > 100 => {
                let body = FromServer::Unknown(Bytes::from_static(b"from the future"));
                Envelope { opcode: 99, seq: 0, reply_to: request.seq, body }
            }
            FromClient::Move(_) => Envelope::answering(request.seq, Moved {}),
            FromClient::Buy(Buy { item: 0 }) => {
                Envelope::answering(request.seq, Purchase(Err(refused("too dear")).into()))
            }
            FromClient::Buy(Buy { item }) => {
                let item = Item { id: item, ..Item::default() };
                Envelope::answering(request.seq, Purchase(Ok(item).into()))
            }
            FromClient::Browse(Browse { page }) => {
                let item = Item { name: "a crown".to_owned(), ..Item::default() };
                let items = vec![Dated { since_ms: 5, value: item, ..Dated::default() }];
                Envelope::answering(request.seq, ShopPage(Paged { items, page, total: 1, next: String::new() }))
            }
            FromClient::Ping(ping) => Envelope::answering(request.seq, Pong { place: ping.place }),
            FromClient::Unknown(_) => Envelope::answering(request.seq, refused("what is that?")),
        };
        for message in [Envelope::from(news), answer] {
            bytes.clear();
            codec.encode(&message, &mut bytes).unwrap();
            host.send(peer, codec.channel(&message), &bytes).unwrap();
        }
        host.flush();
    }
}

struct Shoppers;

struct Shopper;

impl Scenario for Shoppers {
    type Bot = Shopper;

    fn bot(&self, _: Seat) -> Shopper {
        Shopper
    }

    fn shard(&self, _: &RunInfo) {
        tokio::task::spawn_local(serve());
    }
}

impl Bot for Shopper {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Enveloped::<FromServer>::new())).await?;
        assert_eq!(game.call(Move { dx: 1, dy: 0 }).await?, Moved {});
        // An outcome is the item itself, or a failure.
        assert_eq!(game.call(Buy { item: 7 }).await?.id, 7);
        let page = game.call(Browse { page: 3 }).await?.0;
        assert_eq!((page.page, page.items[0].value.name.as_str()), (3, "a crown"));
        let place = Tagged { tag: "here".to_owned(), what: Some(Move { dx: 1, dy: 2 }) };
        assert_eq!(game.call(Ping { place: place.clone() }).await?.place, place);
        let refused = game.call(Buy { item: 0 }).await.unwrap_err();
        assert_eq!((refused.kind().name(), refused.message()), ("refused", "too dear"));
        let refused = game.call(Move { dx: 0, dy: 1 }).await.unwrap_err();
        assert_eq!((refused.kind().name(), refused.message()), ("refused", "stand still"));
        let other = game.call(Move { dx: -1, dy: 0 }).await.unwrap_err();
        assert_eq!((other.kind(), other.message()), (Kind::UNEXPECTED, "the answer to Move is ShopPage"));
        let unknown = game.call(Move { dx: 101, dy: 0 }).await.unwrap_err();
        assert_eq!(unknown.message(), "the answer to Move has the opcode 99, which the schema does not know");
        // What came of the server's own accord waits, and overlapping calls have their own replies.
        let (two, three) = (game.call(Buy { item: 2 }), game.call(Buy { item: 3 }));
        let (three, two) = (three.await?, two.await?);
        assert_eq!((two.id, three.id), (2, 3));
        let mut heard = 0;
        while let Some(message) = game.try_recv()? {
            assert!(matches!(message.body, FromServer::News(_)), "{message:?}");
            heard += 1;
        }
        assert_eq!(heard, 10);
        // An opcode that the schema does not know goes both ways, and is no failure.
        let body = FromClient::Unknown(Bytes::from_static(b"?"));
        game.send(Envelope { opcode: 77, seq: 0, reply_to: 0, body })?;
        // The news and the answer travel on channels of their own: either may come first.
        let both = [game.recv().await?, game.recv().await?];
        let refusals = both.into_iter().filter_map(|message| message.body.into_error().ok());
        assert_eq!(refusals.map(|refused| refused.message().to_owned()).collect::<Vec<_>>(), ["what is that?"]);
        game.close().await
    }
}

#[test]
fn calls_find_their_replies_and_unknown_opcodes_are_counted() {
    let plan = Plan::builder().bots(5).duration(Duration::from_secs(1)).refill(None).build().unwrap();
    let report = Simulation { plan, shards: 1, seed: 1 }.play(Shoppers);
    assert_eq!((report.players.failed, report.players.cut_off), (0, 0), "{:?}", report.failures);
    assert_eq!(report.players.finished, 5);
    let count = |name: &str| report.connections.counts.get(name).map_or(0, |count| count.total);
    assert_eq!(count("net.unknown_opcodes"), 5);
    assert_eq!(count("net.malformed"), 0);
}

/// 109 messages of all types.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| samples(Seed(3), 9));

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), opcode in 0..30_u8) {
        let _ = Enveloped::<FromServer>::new().decode(&bytes);
        let body = [&[8, opcode, 0x7a, bytes.len() as u8 & 0x7f], &bytes[..]].concat();
        let mut codec = Enveloped::<FromServer>::new();
        if let Ok(message) = codec.decode(&body) {
            // By their bytes: a fraction that is no number does not equal itself.
            let (mut server, mut once, mut twice) = (Enveloped::<FromClient>::new(), Vec::new(), Vec::new());
            server.encode(&message, &mut once).unwrap();
            server.encode(&codec.decode(&once).unwrap(), &mut twice).unwrap();
            prop_assert_eq!(once, twice);
        }
        let _ = Dated::<Item, Refused>::decode(&bytes[..]);
        let _ = Outcome::<Dated<Move, Item>, Refused>::decode(&bytes[..]);
    }

    /// Of messages with a fault: a byte changed, and the end missing.
    #[test]
    fn broken_messages_are_read_without_panic(
        nth in 0..109_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>(),
    ) {
        let sample = &SAMPLES[nth];
        let mut bytes = sample.bytes.clone();
        if !bytes.is_empty() {
            let (at, end) = (at.index(bytes.len()), end.index(bytes.len()));
            bytes[at] = byte;
            if let Some(again) = (sample.again)(&bytes) {
                prop_assert_eq!((sample.again)(&again), Some(again), "what has been read can be read again");
            }
            let _ = (sample.again)(&bytes[..end]);
        }
    }

    #[test]
    fn fields_that_the_schema_does_not_have_change_nothing(nth in 0..109_usize, unknown in prop::collection::vec(any::<u8>(), 0..99)) {
        let sample = &SAMPLES[nth];
        // The field 1000 with these bytes.
        let more = [&[0xc2, 0x3e, unknown.len() as u8], &unknown[..]].concat();
        for whole in [[&more[..], &sample.bytes], [&sample.bytes, &more[..]]] {
            prop_assert_eq!((sample.again)(&whole.concat()).unwrap(), &sample.bytes[..]);
        }
    }
}
