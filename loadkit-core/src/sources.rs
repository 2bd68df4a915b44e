//! `seat -> source address`: many servers limit connections per address, so players come from many.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::failure::{Failure, Kind};

/// Addresses of this machine from which bots connect: seats take turns.
///
/// Written as addresses, ranges and networks: `127.0.0.1-127.0.0.100`, `10.1.0.0/16`, `fd00::1,fd00::2`. A network
/// stands for all of its addresses, the first and the last included. The addresses have to be the machine's own; on
/// Linux all of `127.0.0.0/8` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePool {
    ranges: Vec<Range>,
    total: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    count: u128,
    is_v4: bool,
}

impl SourcePool {
    /// The address for a seat.
    pub fn addr(&self, seat: u64) -> IpAddr {
        let mut turn = u128::from(seat) % self.total.max(1);
        for range in &self.ranges {
            if turn < range.count {
                return range.at(turn);
            }
            turn -= range.count;
        }
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }

    /// How many addresses there are.
    pub fn total(&self) -> u128 {
        self.total
    }
}

impl Range {
    fn at(&self, turn: u128) -> IpAddr {
        let bits = self.first.saturating_add(turn);
        if self.is_v4 {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }

    fn parse(text: &str) -> Result<Range, String> {
        if let Some((ip, bits)) = text.split_once('/') {
            let (ip, is_v4) = parse_ip(ip)?;
            let width = if is_v4 { 32 } else { 128 };
            let bits: u32 = bits.trim().parse().map_err(|_| format!("{bits:?} is no number of bits"))?;
            if bits > width || bits == 0 {
                return Err(format!("a prefix has 1 to {width} bits, not {bits}"));
            }
            let count = 1_u128 << (width - bits);
            return Ok(Range { first: ip & !(count - 1), count, is_v4 });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ((first, is_v4), (last, last_is_v4)) = (parse_ip(first)?, parse_ip(last)?);
        if is_v4 != last_is_v4 {
            return Err("a range is of one family, IPv4 or IPv6".to_owned());
        }
        let count = last.checked_sub(first).and_then(|span| span.checked_add(1));
        let count = count.ok_or("the range ends before it begins")?;
        Ok(Range { first, count, is_v4 })
    }
}

fn parse_ip(text: &str) -> Result<(u128, bool), String> {
    match text.trim().parse() {
        Ok(IpAddr::V4(ip)) => Ok((ip.to_bits().into(), true)),
        Ok(IpAddr::V6(ip)) => Ok((ip.to_bits(), false)),
        Err(_) => Err(format!("{:?} is no IP address", text.trim())),
    }
}

impl FromStr for SourcePool {
    type Err = Failure;

    fn from_str(text: &str) -> Result<SourcePool, Failure> {
        let mut pool = SourcePool { ranges: Vec::new(), total: 0 };
        for part in text.split(',').map(str::trim) {
            let fault = |why| Failure::new(Kind::TARGET, format!("source addresses, at {part:?}: {why}"));
            let range = Range::parse(part).map_err(fault)?;
            pool.total = pool.total.saturating_add(range.count);
            pool.ranges.push(range);
        }
        Ok(pool)
    }
}

impl fmt::Display for SourcePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}", range.at(0))?;
            if range.count > 1 {
                write!(f, "-{}", range.at(range.count - 1))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ips(text: &str, seats: u64) -> Vec<String> {
        let pool: SourcePool = text.parse().unwrap();
        (0..seats).map(|seat| pool.addr(seat).to_string()).collect()
    }

    #[test]
    fn seats_take_turns() {
        assert_eq!(ips("127.0.0.9", 2), ["127.0.0.9", "127.0.0.9"]);
        assert_eq!(
            ips("127.0.0.254-127.0.1.1, ::1", 6),
            ["127.0.0.254", "127.0.0.255", "127.0.1.0", "127.0.1.1", "::1", "127.0.0.254"]
        );
        assert_eq!(ips("10.1.2.3/30", 4), ["10.1.2.0", "10.1.2.1", "10.1.2.2", "10.1.2.3"]);
        assert_eq!("10.0.0.0/8".parse::<SourcePool>().unwrap().total(), 1 << 24);
    }

    #[test]
    fn faults_name_the_part() {
        let fault = |text: &str| text.parse::<SourcePool>().unwrap_err().to_string();
        assert_eq!(fault("127.0.0.1,moon"), "source addresses, at \"moon\": \"moon\" is no IP address");
        assert_eq!(
            fault("10.0.0.2-10.0.0.1"),
            "source addresses, at \"10.0.0.2-10.0.0.1\": the range ends before it begins"
        );
        assert_eq!(fault("10.0.0.0/33"), "source addresses, at \"10.0.0.0/33\": a prefix has 1 to 32 bits, not 33");
        assert_eq!(
            fault("10.0.0.0-::1"),
            "source addresses, at \"10.0.0.0-::1\": a range is of one family, IPv4 or IPv6"
        );
        assert_eq!(fault(""), "source addresses, at \"\": \"\" is no IP address");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[0-9a-f:./, -]{0,40}", seat in any::<u64>()) {
            if let Ok(pool) = text.parse::<SourcePool>() {
                let again: SourcePool = pool.to_string().parse().unwrap();
                prop_assert_eq!(again.addr(seat), pool.addr(seat));
            }
        }
    }
}
