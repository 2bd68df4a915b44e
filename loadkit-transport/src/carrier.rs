//! `scheme -> what carries the messages`: datagrams, or a stream with or without TLS.

use loadkit_core::{Failure, Kind};

/// What carries the messages of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Datagrams,
    Stream { is_secure: bool },
}

/// What a dial is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Datagrams,
    Frames,
    #[cfg_attr(not(any(feature = "ws", test)), expect(dead_code, reason = "only WebSockets go in one"))]
    WebSocket,
    Quic,
}

impl Speech {
    /// Whether it goes over a stream of bytes, wherever there is a choice.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Speech::Frames | Speech::WebSocket)
    }
}

/// The carrier to a target with this scheme.
pub(crate) fn of(scheme: Option<&str>, speech: Speech) -> Result<Carrier, Failure> {
    use Speech::{Datagrams, Frames, Quic, WebSocket};
    let refused = |why: String| Err(Failure::new(Kind::TARGET, format!("the target begins with {why}")));
    let is_secure = match (scheme, speech) {
        (None | Some("udp"), Datagrams | Quic) | (Some("udp"), Frames) | (Some("quic"), Quic) => {
            return Ok(Carrier::Datagrams);
        }
        (None | Some("tcp"), Frames | WebSocket) | (Some("tcp"), Datagrams) | (Some("ws"), WebSocket) => false,
        (Some("tls"), Datagrams | Frames | WebSocket) | (Some("wss"), WebSocket) => true,
        (Some("quic"), _) => return refused("quic://, and the bot does not speak QUIC: see Quic".into()),
        (Some("ws" | "wss"), _) => return refused("ws:// or wss://, and the bot speaks no WebSocket: see Ws".into()),
        (Some("http" | "https"), _) => {
            return refused("http:// or https://, where requests go: see Http".into());
        }
        (Some(scheme @ ("udp" | "tcp" | "tls")), Quic | WebSocket) => {
            let needed = if speech == Quic { "UDP: quic://" } else { "a stream: ws:// or wss://" };
            return refused(format!("{scheme}://, and the bot needs {needed}"));
        }
        (Some(scheme), _) => {
            return refused(format!("{scheme:?}; known are udp, tcp, tls, ws, wss, quic and mem, each before ://"));
        }
    };
    if is_secure && cfg!(not(feature = "tls")) {
        return refused("tls:// or wss://, and loadkit was built without its feature `tls`".into());
    }
    Ok(Carrier::Stream { is_secure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_decides_and_what_does_not_fit_is_told() {
        let stream = Ok(Carrier::Stream { is_secure: false });
        for (scheme, speech, carrier) in [
            (None, Speech::Datagrams, Ok(Carrier::Datagrams)),
            (None, Speech::Frames, stream),
            (None, Speech::WebSocket, stream),
            (None, Speech::Quic, Ok(Carrier::Datagrams)),
            (Some("tcp"), Speech::Datagrams, stream),
            (Some("ws"), Speech::WebSocket, stream),
            (Some("quic"), Speech::Quic, Ok(Carrier::Datagrams)),
            (Some("quic"), Speech::Frames, Err("see Quic")),
            (Some("wss"), Speech::Frames, Err("see Ws")),
            (Some("https"), Speech::WebSocket, Err("see Http")),
            (Some("tcp"), Speech::Quic, Err("needs UDP")),
            (Some("udp"), Speech::WebSocket, Err("needs a stream")),
            (Some("ftp"), Speech::Frames, Err("\"ftp\"; known are udp")),
        ] {
            match (of(scheme, speech), carrier) {
                (Ok(got), Ok(wanted)) => assert_eq!(got, wanted),
                (Err(failure), Err(why)) => assert!(failure.message().contains(why), "{failure}"),
                (got, wanted) => panic!("{scheme:?}, {speech:?}: {got:?}, not {wanted:?}"),
            }
        }
        let secure = of(Some("tls"), Speech::Frames);
        assert_eq!(secure.is_ok(), cfg!(feature = "tls"), "{secure:?}");
    }
}
