//! How a bot connects: `cx.connect(Rudp::new(codec))`.

use std::any::TypeId;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::network::Profile;
use loadkit_core::{Connect, Cx, Failure, Kind, Result, SourcePool};
use tokio::time::Instant;

#[cfg(feature = "ws")]
use crate::address::Address;
use crate::any_link::AnyLink;
use crate::call::FOR_EVER;
use crate::carrier::{self, Carrier, Speech};
use crate::codec::Codec;
use crate::conditions::Conditioned;
use crate::connection::Connection;
use crate::driver::{Core, Driver};
use crate::failures;
use crate::framing::Framing;
use crate::link::Link;
use crate::mem::{self, Mem};
use crate::rudp;
use crate::shared::{Place, Shared};
use crate::speak::{Datagrams, Routed, Speak};
use crate::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::tls::{self, Security, Trust};
use crate::udp::{SocketBuffers, Udp};
use crate::wire::{self, Wire};
#[cfg(feature = "ws")]
use crate::ws::WebSocket;

/// Reliable UDP: `Rudp::new(codec)`.
pub type Rudp<C> = Dial<rudp::Config, C>;
/// Raw datagrams: `Datagram::new(codec)`. Connected at once: whether a server is there shows with the first reply.
pub type Datagram<C> = Dial<Datagrams, C>;
/// Frames over TCP: `Framed::new(codec)`.
pub type Framed<C> = Dial<Framing, C>;

/// Where the link goes.
enum Way {
    Udp(SocketAddr),
    Stream { to: SocketAddr, is_secure: bool },
    Mem(String),
}

/// How a bot connects: a protocol, a codec, and where the defaults do not fit.
///
/// The target's name chooses the link: `udp://host:port`, `tcp://host:port`, `tls://host:port`, `mem://NAME`, for
/// WebSockets `ws://` and `wss://`, for QUIC `quic://`. Without a scheme it is TCP for [`Framed`] and WebSockets and UDP
/// for all else.
pub struct Dial<S, C>(pub(crate) Box<Inner<S, C>>);

/// In a box of its own, because it passes through several futures on its way, and each would keep room for it.
pub(crate) struct Inner<S, C> {
    pub(crate) speak: S,
    codec: C,
    framing: Framing,
    is_stream: bool,
    to: Option<SocketAddr>,
    over: Option<Box<dyn Link>>,
    sources: Option<Arc<SourcePool>>,
    /// Sockets that the shard's bots share.
    sockets: Option<NonZeroU32>,
    conditions: Option<Profile>,
    buffers: SocketBuffers,
    #[cfg(feature = "tls")]
    security: Security,
    time_out: Duration,
    call_time_out: Duration,
    inbox: u32,
}

impl<C: Codec> Dial<rudp::Config, C> {
    /// Reliable UDP as it comes.
    pub fn new(codec: C) -> Self {
        Dial::speaking(rudp::Config::DEFAULT, codec)
    }

    /// With other knobs.
    pub fn config(self, config: rudp::Config) -> Self {
        self.speak(config)
    }
}

impl<C: Codec> Dial<Datagrams, C> {
    /// Raw datagrams.
    pub fn new(codec: C) -> Self {
        Dial::speaking(Datagrams, codec)
    }
}

impl<C: Codec> Dial<Framing, C> {
    /// Frames over TCP, with four bytes of length and at most 1 MiB.
    pub fn new(codec: C) -> Self {
        let mut dial = Dial::speaking(Framing::default(), codec);
        dial.0.is_stream = true;
        dial
    }

    /// With other frames.
    pub fn framing(mut self, framing: Framing) -> Self {
        (self.0.speak, self.0.framing) = (framing, framing);
        self
    }
}

impl<S: Speak, C: Codec> Dial<S, C> {
    /// A protocol of one's own: `Dial::speaking(|cx: &Cx| MyProtocol::new(cx.rng().next_u32()), codec)`.
    pub fn speaking(speak: S, codec: C) -> Self {
        Dial(Box::new(Inner {
            speak,
            codec,
            framing: Framing::default(),
            is_stream: false,
            to: None,
            over: None,
            sources: None,
            sockets: None,
            conditions: None,
            buffers: SocketBuffers::default(),
            #[cfg(feature = "tls")]
            security: Security::default(),
            time_out: Duration::from_secs(5),
            call_time_out: Duration::from_secs(5),
            inbox: 256,
        }))
    }

    /// With other knobs of the same protocol.
    pub(crate) fn speak(mut self, speak: S) -> Self {
        self.0.speak = speak;
        self
    }

    /// To this address instead of the run's target: for a match server that the lobby named.
    pub fn to(mut self, addr: SocketAddr) -> Self {
        self.0.to = Some(addr);
        self
    }

    /// Over a link of one's own instead of a new socket.
    pub fn over(mut self, link: impl Link + 'static) -> Self {
        self.0.over = Some(Box::new(link));
        self
    }

    /// From the seat's address of this pool, instead of the plan's.
    pub fn sources(mut self, pool: Arc<SourcePool>) -> Self {
        self.0.sources = Some(pool);
        self
    }

    /// Over sockets that the bots of a shard share, so many for each address of the server, instead of a socket a bot.
    /// For protocols whose datagrams say for which connection they are: [`Rudp`] does. All players of a socket come from
    /// one port then, and with [`Dial::sources`] from their own addresses.
    pub fn shared(mut self, sockets: NonZeroU32) -> Self {
        self.0.sockets = Some(sockets);
        self
    }

    /// Over a network of this profile, whatever the plan says of the bot's. [`Profile::perfect`] leaves it as it is.
    pub fn conditions(mut self, profile: Profile) -> Self {
        self.0.conditions = Some(profile);
        self
    }

    /// With so large kernel buffers (UDP, a socket a bot).
    pub fn buffers(mut self, buffers: SocketBuffers) -> Self {
        self.0.buffers = buffers;
        self
    }

    /// Trusts these authorities, where the way to the server goes through TLS; by default [`Trust::web`].
    #[cfg(feature = "tls")]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.0.security.trust = trust;
        self
    }

    /// The name that the server's certificate must have; by default the host of the run's target, also for a connection
    /// that goes [to another address](Dial::to).
    #[cfg(feature = "tls")]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.0.security.server_name = Some(name.into());
        self
    }

    /// Gives up connecting after so long; 5 s by default.
    pub fn time_out(mut self, time: Duration) -> Self {
        self.0.time_out = time;
        self
    }

    /// Gives up waiting for the reply to a call after so long, unless the call says otherwise; 5 s by default.
    pub fn call_time_out(mut self, time: Duration) -> Self {
        self.0.call_time_out = time;
        self
    }

    /// Keeps so many messages for the bot that it has not fetched; 256 by default, 65,535 at most. Each costs what the message costs.
    pub fn inbox(mut self, messages: u32) -> Self {
        self.0.inbox = messages.max(1);
        self
    }
}

impl<S: Speak, C: Codec + 'static> Connect for Dial<S, C> {
    type Connection = Connection<S::Protocol, C>;

    /// The future is boxed: what it needs is freed when the bot plays, instead of making every bot larger.
    fn connect(self, cx: &Cx) -> impl Future<Output = Result<Self::Connection>> {
        Box::pin(self.0.connect(cx))
    }
}

impl<S: Speak, C: Codec + 'static> Inner<S, C> {
    /// Where to, and how that is called in failures.
    fn way(&self, cx: &Cx, speech: Speech) -> Result<(Way, String), Failure> {
        let target = cx.target();
        let name = target.name();
        if let (None, Some(mem)) = (self.to, mem::name_in(name)) {
            return Ok((Way::Mem(mem.to_owned()), name.to_owned()));
        }
        let carrier = carrier::of(name.split_once("://").map(|(scheme, _)| scheme), speech)?;
        let (addr, shown) = match self.to {
            Some(addr) => (addr, addr.to_string()),
            None => (target.addr(cx.seat().index())?, name.to_owned()),
        };
        let way = match carrier {
            Carrier::Datagrams => Way::Udp(addr),
            Carrier::Stream { is_secure } => Way::Stream { to: addr, is_secure },
        };
        Ok((way, shown))
    }

    /// What it is made for. Whom to trust is settled by it.
    fn settle(&mut self, cx: &Cx) -> Speech {
        #[cfg(feature = "tls")]
        {
            self.security = std::mem::take(&mut self.security).of_run(cx);
            if self.speak.secure(&self.security) {
                return Speech::Quic;
            }
        }
        #[cfg(feature = "ws")]
        if self.speak.upgrade().is_some() {
            return Speech::WebSocket;
        }
        let _ = cx;
        if self.is_stream { Speech::Frames } else { Speech::Datagrams }
    }

    /// A stream to the server, with what keeps messages apart in it.
    async fn stream(&self, cx: &Cx, from: Option<IpAddr>, to: SocketAddr, is_secure: bool) -> io::Result<AnyLink> {
        let stream = wire::connect(from, to).await?;
        let wire = match is_secure {
            #[cfg(feature = "tls")]
            true => Wire::Tls(Box::new(tls::connect(cx, stream, &self.security, &[]).await?)),
            _ => Wire::Tcp(stream),
        };
        self.over_wire(cx, wire).await
    }

    /// What keeps messages apart in a stream.
    async fn over_wire(&self, cx: &Cx, wire: Wire) -> io::Result<AnyLink> {
        #[cfg(feature = "ws")]
        if let Some(upgrade) = self.speak.upgrade() {
            let link = WebSocket::open(wire, upgrade, &Address::parse(cx.target().name())).await?;
            return Ok(AnyLink::WebSocket(Box::new(link)));
        }
        let _ = cx;
        Ok(AnyLink::Tcp(Box::new(Tcp::over(wire, self.framing))))
    }

    fn pool<'a>(&'a self, cx: &'a Cx) -> Option<&'a Arc<SourcePool>> {
        self.sources.as_ref().or_else(|| cx.run().plan().sources())
    }

    fn source(&self, cx: &Cx) -> Option<IpAddr> {
        self.pool(cx).map(|pool| pool.addr(cx.seat().index()))
    }

    /// A place on a shared socket, with the protocol whose number it is for.
    fn share(
        &self,
        cx: &Cx,
        to: SocketAddr,
        from: Option<IpAddr>,
        sockets: NonZeroU32,
    ) -> Result<io::Result<(Shared, S::Protocol)>, Failure> {
        let Some(Routed { tag, route_of, begin }) = self.speak.routed() else {
            let what = "bots can share sockets only where each datagram says for which connection it is: this protocol's \
                        do not, so leave out `sockets`";
            return Err(Failure::new(Kind::TARGET, what));
        };
        let number = u32::try_from(cx.seat().index() % u64::from(sockets.get())).unwrap_or(0);
        let way = (TypeId::of::<S::Protocol>(), tag);
        let place = Place { to, number, is_sourced: from.is_some(), way };
        Ok(Shared::connect(place, from, || route_of, || begin(cx)))
    }

    /// The link over the bot's network, if that changes anything.
    async fn conditioned(&self, link: AnyLink, cx: &Cx) -> AnyLink {
        let profile = self.conditions.as_ref().or_else(|| cx.network_profile());
        let Some(profile) = profile.filter(|profile| !profile.is_perfect()) else { return link };
        if link.is_stream() {
            // Its handshake went past the network, and takes a round trip over it.
            cx.timers().sleep_until(Instant::now() + profile.mean_round_trip()).await;
        }
        let mut conditioned = Conditioned::of_bot(link, profile, cx);
        if let Some(sources) = self.pool(cx) {
            conditioned = conditioned.sources(sources.clone(), cx.seat().index());
        }
        AnyLink::Conditioned(Box::new(conditioned))
    }

    async fn connect(mut self, cx: &Cx) -> Result<Connection<S::Protocol, C>> {
        let began = Instant::now();
        let until = began + self.time_out.min(FOR_EVER);
        let silent = |shown: &str, time: Duration| {
            let what = format!("{shown} did not answer within {} s: is the server running?", time.as_secs_f64());
            Failure::new(Kind::TIMED_OUT, what)
        };
        let speech = self.settle(cx);
        let sockets = self.sockets.or_else(|| cx.run().plan().sockets());
        let mut begun = None;
        let (link, shown) = match self.over.take() {
            Some(link) => (AnyLink::Other(link), cx.target().name().to_owned()),
            None => {
                let (way, shown) = self.way(cx, speech)?;
                let from = self.source(cx);
                let link = match (way, sockets) {
                    (Way::Udp(to), Some(sockets)) => self.share(cx, to, from, sockets)?.map(|(link, protocol)| {
                        begun = Some(protocol);
                        AnyLink::Shared(Box::new(link))
                    }),
                    (Way::Udp(to), None) => Udp::connect(from, to, self.buffers).map(AnyLink::Udp),
                    (Way::Mem(name), _) if speech.is_stream() && mem::has_streams(&name) => {
                        let stream = mem::connect_stream(&name).map(|stream| Wire::Mem(Box::new(stream)));
                        let link = async { self.over_wire(cx, stream?).await };
                        tokio::time::timeout_at(until, link).await.map_err(|_| silent(&shown, self.time_out))?
                    }
                    (Way::Mem(name), _) => Mem::connect(&name).map(|link| AnyLink::Mem(Box::new(link))),
                    (Way::Stream { to, is_secure }, _) => {
                        let stream = self.stream(cx, from, to, is_secure);
                        tokio::time::timeout_at(until, stream).await.map_err(|_| silent(&shown, self.time_out))?
                    }
                };
                (link.map_err(|error| failures::failure(&error, &shown))?, shown)
            }
        };
        let link = self.conditioned(link, cx).await;
        #[cfg(feature = "quic")]
        let is_unverified = speech == Speech::Quic && self.security.trust.is_unverified();
        let protocol = begun.unwrap_or_else(|| self.speak.protocol(cx));
        let core = Core::new(cx.clone(), link, protocol, self.codec, self.inbox, self.call_time_out);
        let driver = Rc::new(Driver(core.into()));
        driver.0.borrow_mut().open();
        cx.attach(&driver);
        let connection = Connection(driver);
        connection.connected(cx, until, || silent(&shown, self.time_out)).await?;
        #[cfg(feature = "quic")]
        if is_unverified {
            tls::count_unverified(cx);
        }
        let label = connection.0.0.borrow().label();
        cx.count_part("net.connects", &label, 1);
        cx.trend_part("net.connect_time", &label, Instant::now().saturating_duration_since(began));
        Ok(connection)
    }
}
