//! What goes over the wire, to the byte: as the reference's header and rules have it.

use super::*;

fn hex(bytes: &[u8]) -> String {
    let words = [(0, 4), (4, 5), (5, 6), (6, 8), (8, 12), (12, 16), (16, 20), (20, 24)];
    let mut rest = bytes;
    let mut out = String::new();
    while let Some((header, tail)) = rest.split_first_chunk::<OVERHEAD>() {
        let fields =
            words.map(|(from, to)| header[from..to].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let len = header[20] as usize;
        out += &format!("{} {}\n", fields.join(" "), String::from_utf8_lossy(&tail[..len]));
        rest = &tail[len..];
    }
    out
}

/// conv, cmd, frg, wnd, ts, sn, una, len, data.
const EXPECTED: &str = "\
0 ms
04030201 51 00 8000 00000000 00000000 00000000 04000000 move
04030201 51 00 8000 00000000 01000000 00000000 02000000 up
20 ms, the other end
04030201 52 00 8000 00000000 00000000 02000000 00000000 
04030201 52 00 8000 00000000 01000000 02000000 00000000 
30 ms, the other end, in three fragments of 26 bytes
04030201 51 02 8000 1e000000 00000000 02000000 1a000000 abcdefghijklmnopqrstuvwxyz
04030201 51 01 8000 1e000000 01000000 02000000 1a000000 ABCDEFGHIJKLMNOPQRSTUVWXYZ
04030201 51 00 8000 1e000000 02000000 02000000 0a000000 0123456789
50 ms
04030201 52 00 8000 1e000000 00000000 03000000 00000000 
04030201 52 00 8000 1e000000 01000000 03000000 00000000 
04030201 52 00 8000 1e000000 02000000 03000000 00000000 
";

#[test]
fn a_conversation_has_these_bytes() {
    let began = Instant::now();
    let [mut one, mut other] = [1_400, 50].map(|mtu| Session::new(&Config { mtu, ..Config::FAST }, CONV, began));
    one.open(began);
    other.open(began);
    let mut shown = String::new();
    let mut received = Vec::new();
    let mut flush = |what: &str, from: &mut Session, to: &mut Session, at: u64| {
        shown += &format!("{what}\n");
        let mut packet = Vec::new();
        while from.poll_transmit(began + ms(at), &mut packet) {
            shown += &hex(&packet);
            to.input(began + ms(at + 20), &packet);
            received.extend(std::iter::from_fn(|| to.poll_event()));
            packet.clear();
        }
    };
    one.send(began, Channel::ORDERED, b"move").unwrap();
    one.send(began, Channel::ORDERED, b"up").unwrap();
    flush("0 ms", &mut one, &mut other, 0);
    flush("20 ms, the other end", &mut other, &mut one, 20);
    let long = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    other.send(began + ms(30), Channel::ORDERED, long).unwrap();
    flush("30 ms, the other end, in three fragments of 26 bytes", &mut other, &mut one, 30);
    flush("50 ms", &mut one, &mut other, 50);
    assert_eq!(shown, EXPECTED);
    let message = |payload| Event::Message { channel: Channel::ORDERED, payload: Bytes::from_static(payload) };
    let expected = [
        Event::Connected,
        message(b"move"),
        message(b"up"),
        Event::Connected,
        Event::RoundTrip(ms(40)),
        message(long),
        Event::RoundTrip(ms(40)),
    ];
    assert_eq!(received, expected);
    assert!(one.is_idle() && one.deadline().is_none());
}
