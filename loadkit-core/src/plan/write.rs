//! `Plan -> TOML`: a plan as text that reads back as the same plan, with all that the command line has put into it.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::Duration;

use super::draft::Draft;
use super::{Plan, format_duration};
use crate::network::{Direction, Profile, Queue, Spread};
use crate::shape::{Spacing, Stage, StageKind};

impl Plan {
    /// The plan as [`Plan::parse`] reads it. Files that it names are called as seen from the working directory, so parse it
    /// with an `origin` without a folder.
    ///
    /// The figures of network profiles of one's own can be off by what their decimals round to.
    pub fn to_toml(&self) -> String {
        // All of it by name, so that a new key is not forgotten here.
        let Draft {
            scenario,
            target,
            seed,
            bots,
            ramp,
            duration,
            arrivals,
            stages,
            total,
            party,
            refill,
            grace,
            interval,
            thresholds,
            sources,
            sockets,
            flight,
            split,
            personas,
            networks,
            profiles,
            accounts,
            data,
        } = &self.draft;
        let mut toml = Toml::default();
        let time = |time: Duration| quoted(format_duration(time));
        toml.text("scenario", scenario.as_ref().map(|part| &part.value));
        toml.text("target", target.as_ref().map(|part| &part.value));
        // In quotes, because TOML's whole numbers end at 2^63.
        toml.text("seed", seed.as_ref());
        toml.key("bots", bots.as_ref().map(|part| part.value));
        toml.text("arrivals", arrivals.as_ref().map(|part| part.value));
        for (name, part) in [("ramp", ramp), ("duration", duration), ("grace", grace), ("interval", interval)] {
            toml.key(name, part.as_ref().map(|part| time(part.value)));
        }
        toml.key("total", total.as_ref().map(|part| part.value));
        toml.key("party", party.as_ref().map(|part| part.value));
        toml.key("refill", refill.as_ref().map(|part| part.value.map_or_else(|| quoted("never"), time)));
        toml.text("sources", sources.as_ref());
        toml.key("sockets", sockets.as_ref().map(|part| part.value));
        toml.key(
            "flight",
            flight.as_ref().map(|part| if part.value == 0 { quoted("off") } else { part.value.to_string() }),
        );
        toml.list("split", split);
        toml.list("thresholds", thresholds);
        for stage in stages {
            toml.table("[stages]");
            toml.stage(&stage.stage);
        }
        if !personas.is_empty() {
            toml.table("personas");
            personas.iter().for_each(|part| toml.key(&quoted(&part.value.0), Some(format!("{:?}", part.value.1))));
        }
        if !networks.is_empty() {
            toml.table("network");
            networks.iter().for_each(|part| toml.key(&quoted(&part.value.0), Some(format!("{:?}", part.value.1))));
        }
        profiles.iter().for_each(|profile| toml.profile(profile));
        toml.file("accounts", accounts.as_deref());
        data.iter().for_each(|(name, path)| toml.file(&format!("data.{}", quoted(name)), Some(path)));
        toml.0
    }
}

/// TOML in the making.
#[derive(Default)]
struct Toml(String);

impl Toml {
    /// A key whose value is TOML already.
    fn key(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            let _ = writeln!(self.0, "{name} = {value}");
        }
    }

    /// A key with a text.
    fn text(&mut self, name: &str, value: Option<impl Display>) {
        self.key(name, value.map(quoted));
    }

    fn list(&mut self, name: &str, values: &[impl Display]) {
        let values: Vec<String> = values.iter().map(quoted).collect();
        self.key(name, (!values.is_empty()).then(|| format!("[{}]", values.join(", "))));
    }

    fn table(&mut self, name: &str) {
        let _ = write!(self.0, "\n[{name}]\n");
    }

    fn file(&mut self, name: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.table(name);
            self.text("file", Some(path.display()));
        }
    }

    fn stage(&mut self, stage: &Stage) {
        let over = quoted(format_duration(stage.over()));
        match stage.kind() {
            StageKind::Hold => self.key("hold", Some(&over)),
            StageKind::Ramp { to } => self.key("ramp", Some(to)),
            StageKind::Step { to } => self.key("step", Some(to)),
            StageKind::Spike { to } => self.key("spike", Some(to)),
            StageKind::Arrivals { from, to, spacing } => {
                self.key("arrivals", Some(format!("{{ from = {}, to = {} }}", quoted(from), quoted(to))));
                self.text("spacing", (spacing == Spacing::Poisson).then_some("poisson"));
            }
        }
        if stage.kind() != StageKind::Hold {
            self.key("over", Some(over));
        }
        self.text("at", stage.explicit_start().map(format_duration));
    }

    fn profile(&mut self, profile: &Profile) {
        let name = quoted(profile.name());
        self.table(&format!("network.profiles.{name}"));
        self.text("new-address", profile.new_address().map(format_duration));
        if let Some(outages) = profile.outages() {
            let [every, lasts] = [outages.every, outages.lasts].map(|time| quoted(format_duration(time)));
            self.key("outages", Some(format!("{{ every = {every}, lasts = {lasts} }}")));
        }
        for (way, direction) in [("up", profile.up()), ("down", profile.down())] {
            self.table(&format!("network.profiles.{name}.{way}"));
            self.direction(direction);
        }
    }

    fn direction(&mut self, way: &Direction) {
        let share = |share: f64| quoted(format!("{}%", share * 100.0));
        self.text("latency", Some(format_duration(way.latency)));
        if let Some(jitter) = way.jitter {
            let (shape, sigma) = match jitter.spread {
                Spread::Uniform(_) => ("uniform", None),
                Spread::Exponential(_) => ("exponential", None),
                Spread::LogNormal { sigma, .. } => ("log-normal", Some(sigma)),
            };
            self.text("jitter", Some(format_duration(jitter.spread.mean())));
            self.text("jitter-shape", Some(shape));
            self.key("jitter-sigma", sigma.map(|sigma| format!("{sigma:?}")));
            self.text("jitter-wanders", Some(format_duration(jitter.wanders)));
        }
        self.key("loss", Some(share(way.loss)));
        self.key("duplicate", Some(share(way.duplicate)));
        if let Some(bursts) = way.bursts {
            let [worsens, recovers, good, bad] =
                [bursts.worsens, bursts.recovers, bursts.loss_good, bursts.loss_bad].map(share);
            let bursts =
                format!("{{ worsens = {worsens}, recovers = {recovers}, loss-good = {good}, loss-bad = {bad} }}");
            self.key("bursts", Some(bursts));
        }
        if let Some(reorder) = way.reorder {
            self.key("reorder", Some(share(reorder.share)));
            self.text("reorder-by", Some(format_duration(reorder.by)));
        }
        if let Some(line) = way.line {
            self.text("bandwidth", Some(format!("{}bit/s", line.bits_per_second)));
            let queue = match line.queue {
                Queue::Time(time) => format_duration(time),
                Queue::Bytes(bytes) => format!("{bytes}B"),
            };
            self.text("queue", Some(queue));
        }
        if let Some(mtu) = way.mtu {
            self.key("mtu", Some(mtu.bytes));
            self.text("oversized", Some(if mtu.drops { "drop" } else { "count" }));
        }
    }
}

/// A text as TOML's basic string (TOML 1.0.0, "String").
fn quoted(text: impl Display) -> String {
    let mut quoted = String::from("\"");
    for c in text.to_string().chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
