//! A server's answer to the request for a WebSocket: any bytes, and such as nearly agree.

use loadkit_transport::ws::Upgrade;

/// The key of RFC 6455, section 1.3, and what a server makes of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const AGREED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

pub(crate) fn target(bytes: &[u8]) {
    let upgrade = Upgrade::default();
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let answer = if kind & 1 == 0 { [AGREED, bytes].concat() } else { bytes.to_vec() };
    let at_once = upgrade.answered(KEY, &answer);
    if let Ok(Some(len)) = at_once {
        assert!(len <= answer.len());
        // It agreed with its last byte, and not before.
        assert_eq!(upgrade.answered(KEY, &answer[..len]), Ok(Some(len)));
        assert_eq!(upgrade.answered(KEY, &answer[..len - 1]), Ok(None));
    }
}
