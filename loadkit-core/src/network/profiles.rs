//! The profiles that the kit has, with the sources of their figures.
//!
//! They are typical and not exact: what a player has differs by hour, place and operator. Figures whose source is not
//! named are ours.

use std::time::Duration;

use super::{Bursts, Direction, Inner, Jitter, Line, Outages, Profile, Queue, Spread};

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

const fn line(kbit_per_second: u64, queue_ms: u64) -> Option<Line> {
    Some(Line { bits_per_second: kbit_per_second * 1_000, queue: Queue::Time(ms(queue_ms)) })
}

impl Profile {
    /// The profiles that the kit has, by the names `perfect`, `wifi-busy`, `lte` and `3g-train`.
    pub fn known() -> [Profile; 4] {
        [Profile::perfect(), Profile::wifi_busy(), Profile::lte(), Profile::train_3g()]
    }

    /// Nothing between the player and the server but what is there.
    pub fn perfect() -> Profile {
        let (up, down) = (Direction::default(), Direction::default());
        Profile::of("perfect", up, down, None)
    }

    /// A wireless network at home or on a campus that many use: half of all round trips below 19 ms, one in ten above
    /// 72 ms, one in a hundred above 260 ms; 0.8 % lost, in bursts.
    ///
    /// - Round trips over the wireless hop. K. Sui et al., "Characterizing and Improving WiFi Latency in Large-Scale
    ///   Operational Networks" (MobiSys 2016, 47,000 devices): a long tail, 3 ms in the median, 20 ms at the 90th and 250 ms
    ///   at the 99th percentile. C. Pei et al., "WiFi Can Be the Weakest Link of Round Trip Network Latency in the Wild"
    ///   (INFOCOM 2016): in traffic more than half above 20 ms and a tenth above 100 ms; a busy network is like these.
    /// - That losses come in bursts, and the two-state model for them: L. Carvalho, J. Angeja and A. Navarro, "A New Packet
    ///   Loss Model of the IEEE 802.11g Wireless Network for Multimedia Communications" (IEEE Transactions on Consumer
    ///   Electronics 51, 2005). Their share and the 20 Mbit/s are ours.
    pub fn wifi_busy() -> Profile {
        let way = Direction {
            latency: ms(2),
            jitter: Some(Jitter { spread: Spread::LogNormal { median: ms(5), sigma: 1.5 }, wanders: ms(100) }),
            bursts: Some(Bursts { worsens: 0.005, recovers: 0.3, loss_good: 0.0, loss_bad: 0.5 }),
            line: line(20_000, 200),
            ..Direction::default()
        };
        Profile::of("wifi-busy", way, way, None)
    }

    /// A phone on 4G in a town, standing: a mean round trip of 53 ms, 0.5 % lost.
    ///
    /// - Round trip 53.1 ms, 14.7 Mbit/s down, 13.6 Mbit/s up, all in the mean: Ofcom, "Measuring mobile broadband
    ///   performance in the UK: 4G and 3G network performance", April 2015 (120,000 samples in five towns, late 2014).
    /// - The share of the way up is the larger, because a phone first asks for a slot: M. Laner et al., "A comparison
    ///   between one-way delays in operating HSPA and LTE networks" (WiNMee 2012).
    /// - A queue of half a second: under load, delays grow by an order of magnitude. J. Garcia, S. Alfredsson and A.
    ///   Brunstrom, "Delay metrics and delay characteristics: A study of four Swedish HSDPA+ and LTE networks" (EuCNC 2015).
    /// - The loss is ours: the radio link itself resends nearly all that is lost on it.
    pub fn lte() -> Profile {
        let way = |latency, jitter, kbit_per_second| Direction {
            latency: ms(latency),
            jitter: Some(Jitter { spread: Spread::Exponential(ms(jitter)), wanders: ms(100) }),
            loss: 0.005,
            line: line(kbit_per_second, 500),
            ..Direction::default()
        };
        Profile::of("lte", way(22, 8, 13_600), way(18, 5, 14_700), None)
    }

    /// A phone on 3G in a train: a mean round trip of 120 ms, 5 % lost in bursts, and no network for one second in ten.
    ///
    /// - 3G at rest has a mean round trip of 63.5 ms: Ofcom, April 2015, as for [`Profile::lte`]. In a train it is longer
    ///   and varies more: Q. Xiao et al., "TCP Performance over Mobile Networks in High-speed Mobility Scenarios" (ICNP
    ///   2014). That it doubles is ours.
    /// - Of the packets on ten commuter lines around London 23 % were lost on 3G, 18 % on the best network, which brought 2
    ///   Mbit/s: Global Wireless Solutions, October 2014. 70 % of what is lost in trains is lost while there is no service
    ///   or while it changes from one kind to another: D. Baltrūnas et al., "Investigating Packet Loss in Mobile Broadband
    ///   Networks under Mobility" (IFIP Networking 2016). So here outages lose 10 % and bursts 5 %: the better lines, on
    ///   which people do play.
    /// - Jitter in steps of 10 ms, with spikes where the link resends: M. Jurvansuu et al., "HSDPA Performance in Live
    ///   Networks" (ICC 2007). A mean of 20 ms each way is ours, and so is the 1 Mbit/s up; Ofcom saw 1.6 at rest.
    /// - A queue of a second: as for [`Profile::lte`].
    ///
    /// A third of the changes between kinds of network end with a new address (Baltrūnas). As few protocols bear that, it
    /// is left to [`Profile::with_new_address`].
    pub fn train_3g() -> Profile {
        let way = |latency, kbit_per_second| Direction {
            latency: ms(latency),
            jitter: Some(Jitter { spread: Spread::Exponential(ms(20)), wanders: ms(300) }),
            bursts: Some(Bursts { worsens: 0.02, recovers: 0.25, loss_good: 0.0, loss_bad: 0.7 }),
            line: line(kbit_per_second, 1_000),
            ..Direction::default()
        };
        let outages = Outages { every: ms(10_000), lasts: ms(1_000) };
        Profile::of("3g-train", way(45, 1_000), way(35, 2_000), Some(outages))
    }

    fn of(name: &str, up: Direction, down: Direction, outages: Option<Outages>) -> Profile {
        Profile(Inner { name: name.into(), up, down, outages, new_address: None }.into())
    }
}
