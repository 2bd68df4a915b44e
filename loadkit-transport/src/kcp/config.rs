//! The knobs of KCP, by the names of its reference implementation, and what each costs.

use std::time::Duration;

use super::wire::OVERHEAD;
use crate::framing::Framing;

/// How a segment's resend time-out grows when it passes: the first argument of `ikcp_nodelay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDelay {
    /// `nodelay = 0`: it doubles; at least 100 ms, and an eighth more for the first time.
    Off,
    /// `nodelay = 1`: it grows by half; at least 30 ms.
    On,
    /// `nodelay = 2`: it grows by half of what the round trips ask for now; at least 30 ms.
    Flat,
}

/// What a message is in KCP's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Messages keep their bounds; longer than a segment they travel in up to 127 fragments.
    Messages,
    /// KCP's stream mode: messages of one flush share segments, and a message on arrival is what a segment held.
    Stream,
    /// KCP's stream mode, with frames in the stream, as games do that treat KCP as TCP.
    Frames(Framing),
}

/// The knobs of a connection. Nothing is agreed on the wire: both ends need the same [`mode`](Config::mode) and must
/// take the longest datagram of the other; the rest is each end's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The conversation's number, in each segment. `None`: each bot takes one from its random numbers, and the server
    /// learns it from the first datagram.
    pub conv: Option<u32>,
    /// How resend time-outs grow.
    pub nodelay: NoDelay,
    /// Flushes on a grid of so much time, 10 ms to 5 s: what is queued and what is acked waits for it. Shorter costs
    /// packets, longer adds to each round trip.
    pub interval: Duration,
    /// Flushes at the end of each turn instead of on the grid, as games do that call `ikcp_flush` after `ikcp_send`
    /// and `ikcp_input`. Costs a packet for each message and an ack for each packet.
    pub at_once: bool,
    /// Sends a segment again as soon as so many acks of later ones have come, at most five times; 0 never does.
    pub fast_resend: u32,
    /// With a congestion window (slow start and avoidance, `nc = 0`) beside those of the two ends.
    pub congestion_window: bool,
    /// Segments under way at once, at most.
    pub send_window: u16,
    /// Segments kept that are early or not fetched, at most: memory of so many times [`mtu`](Config::mtu). At least 128,
    /// so that any message fits.
    pub receive_window: u16,
    /// The largest UDP payload sent, in bytes, between 50 and 16 KiB.
    pub mtu: usize,
    /// What a message is.
    pub mode: Mode,
    /// Gives the other side up when one segment was sent so often and was not acked.
    pub dead_link: u32,
    /// The longest message. The receiver holds so much memory while it comes together. Without frames it is also
    /// bounded by 127 fragments.
    pub message: usize,
    /// Bytes that wait or are under way, at most; each segment counts for 96 bytes more than it has, which is what it
    /// costs. At the bound `send` fails with `BACKLOG`.
    pub send_buffer: usize,
    /// Asks for the other side's window (`WASK`) after so much silence of the other side, which KCP answers. Each costs
    /// a packet both ways. `None`: never, as the reference.
    pub keep_alive: Option<Duration>,
    /// Gives the other side up after so much silence: KCP has no goodbye, so it may have left. `None`: a client never
    /// does, and a [`Server`](super::Server) after 60 s. Shorter than the other side's silences without `keep_alive`,
    /// it ends connections that are merely idle.
    pub time_out: Option<Duration>,
    /// On closing, waits so long at most for acks of what had been sent before.
    pub linger: Duration,
}

/// As in the reference (`IKCP_WND_RCV`).
pub(super) const MIN_RECEIVE_WINDOW: u16 = 128;
/// Without a time-out of one's own, a server forgets a peer after so much silence.
pub(super) const SERVER_TIME_OUT: Duration = Duration::from_secs(60);
/// Times longer than this are for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Config {
    /// What the reference's README calls normal mode, `ikcp_nodelay(kcp, 0, 40, 0, 0)`: as gentle as TCP. The windows
    /// (32, 128), the MTU (1,400) and the dead link (20) are those of `ikcp_create`.
    pub const NORMAL: Config = Config {
        conv: None,
        nodelay: NoDelay::Off,
        interval: Duration::from_millis(40),
        at_once: false,
        fast_resend: 0,
        congestion_window: true,
        send_window: 32,
        receive_window: MIN_RECEIVE_WINDOW,
        mtu: 1_400,
        mode: Mode::Messages,
        dead_link: 20,
        message: 64 * 1024,
        send_buffer: 512 * 1024,
        keep_alive: None,
        time_out: None,
        linger: Duration::from_millis(300),
    };

    /// What the reference's README calls turbo mode, `ikcp_nodelay(kcp, 1, 10, 2, 1)`, with the windows of its test,
    /// `ikcp_wndsize(kcp, 128, 128)`: what most games take KCP for.
    pub const FAST: Config = Config {
        nodelay: NoDelay::On,
        interval: Duration::from_millis(10),
        fast_resend: 2,
        congestion_window: false,
        send_window: 128,
        ..Config::NORMAL
    };

    /// With everything brought into what the protocol and clocks can carry.
    pub(super) fn bounded(mut self) -> Config {
        self.interval = self.interval.clamp(Duration::from_millis(10), Duration::from_secs(5));
        self.send_window = self.send_window.max(1);
        self.receive_window = self.receive_window.max(MIN_RECEIVE_WINDOW);
        self.mtu = self.mtu.clamp(50, 16 * 1024);
        self.dead_link = self.dead_link.max(1);
        self.linger = self.linger.min(LONGEST);
        for time in [&mut self.keep_alive, &mut self.time_out].into_iter().flatten() {
            *time = (*time).clamp(self.interval, LONGEST);
        }
        self
    }

    /// The most bytes of a message in one segment.
    pub(super) fn segment(&self) -> usize {
        self.mtu - OVERHEAD
    }

    /// Bytes kept that are early or not fetched, at most.
    pub(super) fn receive_buffer(&self) -> usize {
        usize::from(self.receive_window) * self.mtu
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::FAST
    }
}
