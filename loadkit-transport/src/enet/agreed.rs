//! What both ends of a connection have agreed on in the handshake.

use std::rc::Rc;

use super::config::{Config, MTU, bounded_window, window};
use super::reliable::Control;
use super::wire::{Body, FRAGMENT_LEN, NO_PEER, NO_SESSION, Terms, ThrottleRates};

/// What both ends of a connection have agreed on in the handshake, and what each told the other.
#[derive(Debug)]
pub(super) struct Agreed {
    /// `None`: the defaults.
    config: Option<Rc<Config>>,
    /// This end's number of the other one, and the other's of this one.
    pub(super) own_id: u16,
    pub(super) their_id: u16,
    /// Of datagrams inwards and outwards.
    pub(super) sessions: [u8; 2],
    pub(super) connect_id: u32,
    /// The word of the connect request.
    pub(super) data: u32,
    /// The word of the disconnect: ours until there is theirs.
    pub(super) goodbye: u32,
    pub(super) mtu: u16,
    pub(super) channels: u8,
    /// Bytes of reliable messages that may be under way outwards.
    pub(super) window: u32,
    /// Bytes a second that the other side takes and sends; 0: any number.
    pub(super) bandwidth: [u32; 2],
    /// What this end takes of this connection.
    pub(super) share: u32,
}

/// Terms that no server can grant, or that nobody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unacceptable;

impl Agreed {
    /// What a client asks for.
    pub(super) fn asked(config: Option<Rc<Config>>, own_id: u16, connect_id: u32) -> Agreed {
        let of = config.as_deref().unwrap_or(&Config::DEFAULT);
        Agreed {
            own_id,
            their_id: NO_PEER,
            sessions: [NO_SESSION; 2],
            connect_id,
            data: of.data,
            goodbye: 0,
            mtu: of.mtu,
            channels: of.channels,
            window: window(of.outgoing_bandwidth, 0),
            bandwidth: [0; 2],
            share: of.incoming_bandwidth,
            config,
        }
    }

    /// What a server grants a client that asks for `terms`. `sessions` are those of the last connection with this
    /// number, as this end sees them, so that none of its datagrams can be taken for one of this.
    pub(super) fn granted(
        config: Rc<Config>,
        own_id: u16,
        sessions: [u8; 2],
        terms: &Terms,
        data: u32,
    ) -> Result<Agreed, Unacceptable> {
        let mut agreed = Agreed::asked(Some(config), own_id, terms.connect_id);
        let channels = channels_of(terms)?;
        if terms.peer >= NO_PEER {
            return Err(Unacceptable);
        }
        agreed.their_id = terms.peer;
        // What is inwards to the one is outwards to the other.
        let [incoming, outgoing] = sessions;
        agreed.sessions = [next_session(terms.sessions[1], incoming), next_session(terms.sessions[0], outgoing)];
        agreed.data = data;
        agreed.mtu = agreed.mtu.min(mtu_of(terms));
        agreed.channels = agreed.channels.min(channels);
        agreed.heed_bandwidth(terms.bandwidth);
        Ok(agreed)
    }

    /// What a server has granted this client. `rates` are those asked for.
    pub(super) fn verify(&mut self, terms: &Terms, rates: ThrottleRates) -> Result<(), Unacceptable> {
        let channels = channels_of(terms)?;
        if terms.connect_id != self.connect_id || terms.throttle != rates || terms.peer >= NO_PEER {
            return Err(Unacceptable);
        }
        self.their_id = terms.peer;
        self.sessions = terms.sessions.map(|session| session & 3);
        self.mtu = self.mtu.min(mtu_of(terms));
        self.channels = self.channels.min(channels);
        self.window = self.window.min(bounded_window(terms.window));
        self.bandwidth = terms.bandwidth;
        Ok(())
    }

    /// Takes what the other side says of its bandwidth.
    pub(super) fn heed_bandwidth(&mut self, bandwidth: [u32; 2]) {
        self.bandwidth = bandwidth;
        self.window = window(self.config().outgoing_bandwidth, bandwidth[0]);
    }

    pub(super) fn config(&self) -> &Config {
        self.config.as_deref().unwrap_or(&Config::DEFAULT)
    }

    /// Whether the other side's number of this end is known yet.
    pub(super) fn is_known(&self) -> bool {
        self.their_id != NO_PEER
    }

    /// The most bytes of a message that travel in one piece.
    pub(super) fn piece(&self) -> usize {
        self.room() - FRAGMENT_LEN
    }

    /// Bytes of commands that a datagram has room for.
    pub(super) fn room(&self) -> usize {
        self.config().room(self.mtu)
    }

    /// What a command of the connection itself says.
    pub(super) fn say(&self, control: Control, rates: ThrottleRates) -> Body<'static> {
        match control {
            Control::Connect => Body::Connect { terms: self.terms(self.window, rates), data: self.data },
            Control::VerifyConnect => {
                // The client's way outwards, and so what this end takes.
                let ours = window(self.config().incoming_bandwidth, 0);
                let mut terms = self.terms(ours, rates);
                terms.sessions.reverse();
                Body::VerifyConnect(terms)
            }
            Control::Disconnect => Body::Disconnect { data: self.goodbye },
            Control::Ping => Body::Ping,
            Control::BandwidthLimit => Body::BandwidthLimit([self.share, self.config().outgoing_bandwidth]),
            Control::ThrottleConfigure => Body::ThrottleConfigure(rates),
        }
    }

    fn terms(&self, window: u32, throttle: ThrottleRates) -> Terms {
        let config = self.config();
        Terms {
            peer: self.own_id,
            sessions: self.sessions,
            mtu: self.mtu.into(),
            window,
            channels: self.channels.into(),
            bandwidth: [config.incoming_bandwidth, config.outgoing_bandwidth],
            throttle,
            connect_id: self.connect_id,
        }
    }
}

/// The session after the one that the client names, or else after `last`; never `last` itself.
fn next_session(named: u8, last: u8) -> u8 {
    let after = |session: u8| session.wrapping_add(1) & 3;
    let next = after(if named == NO_SESSION { last } else { named });
    if next == last { after(next) } else { next }
}

fn channels_of(terms: &Terms) -> Result<u8, Unacceptable> {
    u8::try_from(terms.channels).ok().filter(|channels| *channels > 0).ok_or(Unacceptable)
}

fn mtu_of(terms: &Terms) -> u16 {
    u16::try_from(terms.mtu).unwrap_or(u16::MAX).clamp(*MTU.start(), *MTU.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(of: &Agreed) -> Terms {
        match of.say(Control::Connect, Config::DEFAULT.throttle()) {
            Body::Connect { terms, .. } => terms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_smaller_of_both_is_agreed() {
        let config = Config { channels: 9, mtu: 1_000, outgoing_bandwidth: 1 << 20, ..Config::DEFAULT };
        let mut client = Agreed::asked(Some(Rc::new(config)), 7, 42);
        let server = Config { channels: 3, mtu: 1_300, incoming_bandwidth: 128 << 10, ..Config::DEFAULT };
        let server = Agreed::granted(Rc::new(server), 5, [NO_SESSION; 2], &terms(&client), 1).unwrap();
        assert_eq!((server.their_id, server.sessions, server.mtu, server.channels), (7, [0, 0], 1_000, 3));
        let Body::VerifyConnect(granted) = server.say(Control::VerifyConnect, Config::DEFAULT.throttle()) else {
            panic!("no verification");
        };
        client.verify(&granted, Config::DEFAULT.throttle()).unwrap();
        assert_eq!((client.their_id, client.mtu, client.channels, client.window), (5, 1_000, 3, 8_192));

        let other = Terms { connect_id: 43, ..granted };
        assert_eq!(client.verify(&other, Config::DEFAULT.throttle()), Err(Unacceptable));
        let other = Terms { channels: 256, ..granted };
        assert_eq!(client.verify(&other, Config::DEFAULT.throttle()), Err(Unacceptable));
    }

    #[test]
    fn each_connection_has_another_session() {
        let client = Agreed::asked(None, 0, 1);
        let mut sessions = [NO_SESSION; 2];
        let mut seen = Vec::new();
        for _ in 0..5 {
            let server = Agreed::granted(Rc::new(Config::DEFAULT), 0, sessions, &terms(&client), 0).unwrap();
            sessions = server.sessions;
            seen.push(sessions);
        }
        assert_eq!(seen, [[0, 0], [1, 1], [2, 2], [3, 3], [0, 0]]);
        // A client that remembers its own goes on from there, and never meets the server's.
        assert_eq!((next_session(1, 3), next_session(1, 2), next_session(3, 0)), (2, 3, 1));
    }
}
