//! A connect token as a client gets it.

use loadkit_transport::rudp::Token;

pub(crate) fn target(bytes: &[u8]) {
    if let Ok(token) = Token::from_bytes(bytes) {
        assert_eq!(token.to_bytes(), bytes);
    }
}
