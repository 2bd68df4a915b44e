//! The test vectors of `docs/rudp.md`: what stands there is what the code writes.

use super::*;
use crate::Delivery;
use crate::rudp::frame::{Frames, Piece};
use crate::rudp::wire::{
    Welcome, begin_accept, ending_of, path_response_of, write_challenge, write_denied, write_ending,
};

const DOCUMENT: &str = include_str!("../../../../docs/rudp.md");
const MAGIC: Magic = Magic::new(b"LK");
const PROTOCOL: u32 = 42;
const SALT: u64 = 0x1122_3344_5566_7788;
const COOKIE: u64 = 0x0102_0304_0506_0708;
const SESSION: u32 = 0xAABB_CCDD;
const SECRET: u64 = 0xF0E0_D0C0_B0A0_9080;

/// The bytes of a vector: hexadecimal, with spaces where one likes; `00*9` is nine times the same byte.
fn vector(name: &str) -> Vec<u8> {
    let mut lines = DOCUMENT.lines().skip_while(|line| *line != format!("{name}:")).skip(2);
    let mut bytes = Vec::new();
    let mut add = |word: &str| {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        for _ in 0..times.parse().unwrap() {
            bytes.extend((0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()));
        }
    };
    for line in lines.by_ref().take_while(|line| line.starts_with("    ")) {
        line.split_whitespace().for_each(&mut add);
    }
    bytes
}

/// What the code writes stands in the document.
fn same(name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(bytes == vector(name), "{name} is\n    {hex}");
}

fn envelope(out: &mut Vec<u8>, first: u8, id: u32, sequence: u16) {
    Envelope::write(out, MAGIC, first, id, sequence);
}

#[test]
fn the_packets_of_the_handshake() {
    same("request", |out| write_request(out, MAGIC, PROTOCOL, SALT));
    same("challenge", |out| write_challenge(out, MAGIC, SALT, COOKIE));
    same("response", |out| {
        let response =
            Response { protocol: PROTOCOL, salt: SALT, cookie: COOKIE, token: &[], payload: b"hi", before: &[] };
        begin_response(out, MAGIC, &response, 2);
        out.extend_from_slice(b"hi");
        pad_response(out, 0);
    });
    same("accept", |out| {
        begin_accept(out, MAGIC, SALT);
        Welcome { session: SESSION, secret: SECRET, answer: b"yo" }.write(out);
    });
    same("denied", |out| write_denied(out, MAGIC, SALT, 17, "old"));
}

#[test]
fn the_packets_of_a_session() {
    let header = Header { ack: 0x1234, delay: 625, acks: 0xFFFF_FFFD };
    same("data", |out| {
        envelope(out, kinds::DATA | header.flags(), SESSION, 0x0201);
        header.write(out);
        let frames = [
            (Channel::UNRELIABLE, None, 0, &b"a"[..]),
            (Channel::SEQUENCED, None, 7, b"bc"),
            (Channel::new(Delivery::Ordered, 3), None, 0xFFFF, b""),
            (Channel::new(Delivery::Unordered, 15), Some(Piece { index: 1, last: 2 }), 9, b"def"),
            (Channel::UNRELIABLE, Some(Piece { index: 0, last: 1 }), 5, &[0x2A; 130]),
        ];
        for (channel, piece, id, bytes) in frames {
            Frame { channel, piece, id, bytes }.write(out);
        }
    });
    let header = Header { ack: 5, delay: 0xFFFF, acks: 0xFF00_FFFF };
    same("ack", |out| {
        envelope(out, kinds::ACK | header.flags(), 0x5566_7788, 3);
        header.write(out);
    });
    same("goodbye", |out| {
        envelope(out, kinds::GOODBYE, SESSION, 4);
        write_ending(out, 7, "bye");
    });
    same("path challenge", |out| write_path_challenge(out, MAGIC, 0x5566_7788, 0x0A0B_0C0D));
    same("path response", |out| {
        envelope(out, kinds::PATH_RESPONSE, SESSION, 5);
        out.extend_from_slice(&0x0A0B_0C0D_u32.to_le_bytes());
        out.extend_from_slice(&SECRET.to_le_bytes());
    });
    same("probe", |out| write_probe(out, MAGIC, SESSION, 0x5566_7788));
    same("reset", |out| write_reset(out, MAGIC, 0x5566_7788, SECRET));
    // And they are read as they are meant.
    let (data, goodbye, response) = (vector("data"), vector("goodbye"), vector("path response"));
    let body = |bytes| Envelope::read(MAGIC, bytes).unwrap().body;
    let mut rest = body(&data);
    Header::read(data[2], &mut rest).unwrap();
    assert_eq!(Frames(rest).map(|frame| frame.unwrap().bytes.len()).collect::<Vec<_>>(), [1, 2, 0, 3, 130]);
    assert_eq!(ending_of(body(&goodbye)), Some((7, "bye")));
    assert_eq!(path_response_of(body(&response)), Some((0x0A0B_0C0D, SECRET)));
}

#[cfg(feature = "encryption")]
mod sealed {
    use super::*;
    use crate::rudp::crypto::{Crypto, Keys};
    use crate::rudp::sealing::TAG_LEN;
    use crate::rudp::{Grant, Token, TokenKey};

    /// 0, 1, 2, …
    struct Counter(u8);

    impl rand::TryRng for Counter {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            let mut bytes = [0; 8];
            self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
            Ok(())
        }
    }

    /// Keys 00..1f and 20..3f, nonce 40..57; the shared key is 32 times 99.
    fn token() -> (TokenKey, Token) {
        let grant = Grant {
            client: 77,
            expires: 1_800_000_000,
            servers: vec!["10.1.2.3:40000".parse().unwrap(), "[::1]:40001".parse().unwrap()],
            user_data: b"blue".to_vec(),
        };
        let key = TokenKey::new([0x99; 32]);
        let token = key.mint(PROTOCOL, &grant, &mut Counter(0)).unwrap();
        (key, token)
    }

    fn keys() -> Keys {
        token().1.keys.of_session(SALT)
    }

    #[test]
    fn tokens_and_keys() {
        let (key, token) = token();
        same("token", |out| out.extend_from_slice(&token.to_bytes()));
        same("token as shown", |out| out.extend_from_slice(&token.shown()));
        assert_eq!(key.read(PROTOCOL, &vector("token as shown")).unwrap().0.client, 77);
        same("session key to the server", |out| out.extend_from_slice(&keys().to_server));
        same("session key to the client", |out| out.extend_from_slice(&keys().to_client));
    }

    #[test]
    fn sealed_packets() {
        same("sealed payload", |out| {
            let shown = token().1.shown();
            let response =
                Response { protocol: PROTOCOL, salt: SALT, cookie: COOKIE, token: &shown, payload: b"hi", before: &[] };
            begin_response(out, MAGIC, &response, 2 + TAG_LEN);
            let body = out.len();
            out.extend_from_slice(b"hi");
            keys().seal_response(PROTOCOL, COOKIE, out, 0, body);
            out.drain(..body);
        });
        same("sealed accept", |out| {
            begin_accept(out, MAGIC, SALT);
            let body = out.len();
            Welcome { session: SESSION, secret: SECRET, answer: b"yo" }.write(out);
            keys().seal_accept(PROTOCOL, SALT, out, 0, body);
        });
        same("sealed data", |out| {
            // The number is 65,538: the client's packets wrap for the first time.
            let mut crypto = Crypto::new(keys(), false, PROTOCOL);
            crypto.start_at(65_537, 0);
            let header = Header { ack: 0x1234, delay: 625, acks: u32::MAX };
            envelope(out, kinds::DATA | header.flags(), SESSION, 2);
            let body = out.len();
            header.write(out);
            Frame { channel: Channel::ORDERED, piece: None, id: 1, bytes: b"move" }.write(out);
            crypto.seal(2, out, 0, body);
        });
    }
}
