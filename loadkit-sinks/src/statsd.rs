//! StatsD over UDP: counters, gauges, and percentiles as gauges, in packets that pass any network whole.
//!
//! Format: `NAME:VALUE|TYPE`, lines in one packet parted by line feeds
//! (<https://github.com/statsd/statsd/blob/master/docs/metric_types.md>), and with DogStatsD's tags behind `|#`.

use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use async_trait::async_trait;
use loadkit_core::{HistogramDelta, TrendUnit};

use crate::claims::Claims;
use crate::interval::Interval;
use crate::name::{Name, clean};
use crate::sink::{Sink, SinkError};

/// What fits an Ethernet frame with room for tunnels: the size that StatsD's own documents name.
const MAX_PACKET: usize = 1_432;
/// At most so many names.
const MAX_NAMES: usize = 16_384;

/// Sends each interval to a StatsD daemon.
///
/// Without tags, the values of labels become parts of the name: `loadkit.step.response.login.p99`. Times are in
/// milliseconds.
#[derive(Debug)]
pub struct StatsD {
    place: String,
    socket: UdpSocket,
    tags: bool,
    claims: Claims,
}

impl StatsD {
    /// To the daemon at `HOST:PORT`, with or without DogStatsD's tags.
    ///
    /// # Errors
    /// When the address does not resolve, or there is no socket to be had.
    pub fn open(addr: &str, tags: bool) -> Result<StatsD, SinkError> {
        let wrong = |why: String| SinkError::new(format!("StatsD cannot go to {addr:?}: {why}; write it as HOST:PORT"));
        let mut found = addr.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        let to = found.next().ok_or_else(|| wrong("it resolves to no address".into()))?;
        let from: SocketAddr = if to.is_ipv6() { ([0_u16; 8], 0).into() } else { ([0, 0, 0, 0], 0).into() };
        let socket = UdpSocket::bind(from).and_then(|socket| {
            socket.connect(to)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let socket = socket.map_err(|error| wrong(error.to_string()))?;
        Ok(StatsD { place: to.to_string(), socket, tags, claims: Claims::new(MAX_NAMES) })
    }
}

#[async_trait]
impl Sink for StatsD {
    fn name(&self) -> &'static str {
        "statsd"
    }

    fn place(&self) -> String {
        format!("udp {}", self.place)
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        let mut lines = Lines { tags: self.tags, claims: &mut self.claims, packets: Vec::new(), left_out: 0 };
        lines.interval(interval);
        let (packets, left_out) = (lines.packets, lines.left_out);
        let (mut unsent, mut last) = (0, None);
        for packet in &packets {
            // A full socket buffer does not wait: the datagram would be lost on the way as well. What nobody listens to
            // shows at the next packet.
            if let Err(error) = self.socket.send(packet.as_bytes()) {
                (unsent, last) = (unsent + 1, Some(error));
            }
        }
        match last {
            None => Ok(left_out),
            Some(error) => {
                Err(SinkError::new(format!("{unsent} of {} packets could not be sent: {error}", packets.len())))
            }
        }
    }
}

/// Keys and values.
type Labels<'a> = [(String, &'a str)];

/// An interval on its way into packets.
struct Lines<'a> {
    tags: bool,
    claims: &'a mut Claims,
    packets: Vec<String>,
    left_out: u64,
}

impl Lines<'_> {
    fn interval(&mut self, interval: &Interval) {
        let players = &interval.players;
        for (name, value) in
            [("active", players.active), ("connected", players.connected), ("planned", players.planned)]
        {
            self.gauge("", &format!("loadkit.players.{name}"), &[], value as f64);
        }
        for (name, n) in [("started", players.started), ("finished", players.finished), ("cut_off", players.cut_off)] {
            self.counter("", &format!("loadkit.players.{name}"), &[], n);
        }
        self.counter("", "loadkit.players.failed", &[], players.failed.values().sum());
        for (kind, n) in &players.failed {
            self.counter("", "loadkit.players.failed.by_kind", &[("kind".into(), kind)], *n);
        }
        for (text, step) in &interval.steps {
            let name = Name::parse(text);
            let mut labels = vec![("step".to_owned(), name.base)];
            labels.extend(name.legal_labels());
            self.distribution(name.base, &name.of_step("response"), &labels, TrendUnit::Micros, &step.response);
            self.distribution(name.base, &name.of_step("service"), &labels, TrendUnit::Micros, &step.service);
            self.counter(name.base, &name.of_step("succeeded"), &labels, step.response.count());
            self.counter(name.base, &name.of_step("failed"), &labels, step.failed());
            for (kind, n) in &step.failures {
                let mut labels = labels.clone();
                labels.push(("kind".into(), kind));
                self.counter(name.base, &name.of_failures(), &labels, *n);
            }
        }
        for (text, trend) in &interval.trends {
            let name = Name::parse(text);
            self.distribution(name.base, &name.dotted(), &name.legal_labels(), trend.unit, &trend.values);
        }
        for (text, n) in &interval.counts {
            let name = Name::parse(text);
            self.counter(name.base, &name.dotted(), &name.legal_labels(), *n);
        }
        for (text, gauge) in &interval.gauges {
            let name = Name::parse(text);
            self.gauge(name.base, &name.dotted(), &name.legal_labels(), gauge.reading.last);
        }
    }

    /// A distribution of which nothing is known is not sent: a daemon would keep a zero.
    fn distribution(&mut self, raw: &str, name: &str, labels: &Labels<'_>, unit: TrendUnit, values: &HistogramDelta) {
        let count = values.count();
        if count == 0 {
            return;
        }
        // Milliseconds, as StatsD's timers.
        let scale = if unit == TrendUnit::Micros { 1e-3 } else { 1.0 };
        let mean = values.sum as f64 / count as f64;
        let quantile = |quantile| values.quantile(quantile) as f64;
        let figures = [
            ("mean", mean),
            ("p50", quantile(0.5)),
            ("p95", quantile(0.95)),
            ("p99", quantile(0.99)),
            ("max", values.max as f64),
        ];
        for (figure, value) in figures {
            self.line(raw, name, figure, labels, &Value::Gauge(value * scale));
        }
    }

    fn counter(&mut self, raw: &str, name: &str, labels: &Labels<'_>, n: u64) {
        if n > 0 {
            self.line(raw, name, "", labels, &Value::Counter(n));
        }
    }

    fn gauge(&mut self, raw: &str, name: &str, labels: &Labels<'_>, value: f64) {
        if value.is_finite() {
            self.line(raw, name, "", labels, &Value::Gauge(value));
        }
    }

    fn line(&mut self, raw: &str, name: &str, figure: &str, labels: &Labels<'_>, value: &Value) {
        let mut path = name.to_owned();
        let mut tags = String::new();
        // The owner of a path is what it was made from: what a daemon cannot tell apart is not added up.
        let mut owner = format!("{raw}\n{name}\n{figure}");
        for (key, text) in labels {
            let _ = write!(owner, "\n{key}={text}");
            if self.tags {
                let _ = write!(tags, "{}{}:{}", if tags.is_empty() { "|#" } else { "," }, key, tag_value(text));
            } else {
                let _ = write!(path, ".{}", clean(text).replace('.', "_"));
            }
        }
        if !figure.is_empty() {
            let _ = write!(path, ".{figure}");
        }
        if !self.claims.may(&format!("{path}{tags}"), &owner) {
            self.left_out += 1;
            return;
        }
        let line = match value {
            Value::Counter(n) => format!("{path}:{n}|c{tags}"),
            // A sign would make it a change instead of a value, so that it has to begin at zero.
            Value::Gauge(value) if *value < 0.0 => format!("{path}:0|g{tags}\n{path}:{value}|g{tags}"),
            Value::Gauge(value) => format!("{path}:{value}|g{tags}"),
        };
        self.put(&line);
    }

    /// Into the last packet if there is room, and else into another.
    fn put(&mut self, line: &str) {
        if line.len() > MAX_PACKET {
            self.left_out += 1;
            return;
        }
        match self.packets.last_mut() {
            Some(packet) if packet.len() + 1 + line.len() <= MAX_PACKET => {
                packet.push('\n');
                packet.push_str(line);
            }
            _ => self.packets.push(line.to_owned()),
        }
    }
}

enum Value {
    Counter(u64),
    Gauge(f64),
}

/// Tags may hold what their syntax does not use.
fn tag_value(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '|' | ',' | '#' | '\n' | '\r') { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests;
