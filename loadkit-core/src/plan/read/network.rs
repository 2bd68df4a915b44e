//! `[network]`: which players are on which network, and profiles of the plan's own.

use std::time::Duration;

use toml::de::DeTable;

use super::{Reader, Value, article};
use crate::network::{
    Bursts, Direction, Jitter, Line, Mtu, NetworkError, Outages, Profile, Queue, Reorder, Spread, find,
};
use crate::plan::draft::{Draft, Located};
use crate::plan::problem::Problem;

/// The key of `[network]` below which the plan's own profiles stand. No profile has this name.
const PROFILES: &str = "profiles";
/// More profiles than a run can have are not worth reading one by one.
const MAX_PROFILES_READ: usize = 1_000;
/// What a profile says as a whole.
const WHOLE: [&str; 5] = ["like", "up", "down", "outages", "new-address"];
/// What it says of each way.
const WAY: [&str; 14] = [
    "latency",
    "jitter",
    "jitter-shape",
    "jitter-sigma",
    "jitter-wanders",
    "loss",
    "bursts",
    "duplicate",
    "reorder",
    "reorder-by",
    "bandwidth",
    "queue",
    "mtu",
    "oversized",
];
const DEFAULT_WANDERS: Duration = Duration::from_millis(100);
const DEFAULT_SIGMA: f64 = 1.0;
const DEFAULT_QUEUE: Queue = Queue::Time(Duration::from_millis(500));
const DEFAULT_REORDER_BY: Duration = Duration::from_millis(10);

impl Reader<'_> {
    pub(super) fn network(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let help = "write a table of weights: [network] and below it lte = 0.5";
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(value, format!("`network` is {}", article(value)), help);
        };
        if let Some(own) = table.get(PROFILES) {
            self.profiles(own, draft);
        }
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if name != PROFILES
                && let Some(weight) = self.weight(name, value)
            {
                draft.networks.push(Located { value: (name.to_owned(), weight.value), span: Some(key.span()) });
            }
        }
    }

    fn profiles(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let help = "write a table for each: [network.profiles.NAME] and below it latency = \"50ms\"";
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(value, format!("`network.profiles` is {}", article(value)), help);
        };
        for (key, value) in table.iter().take(MAX_PROFILES_READ) {
            let name = key.get_ref().as_ref();
            let Some(profile) = value.get_ref().as_table() else {
                self.wrong(value, format!("the network profile `{name}` is {}", article(value)), help);
                continue;
            };
            if Profile::known().iter().any(|known| known.name() == name) {
                let problem = NetworkError::Taken { name: name.to_owned() }.to_string();
                let help = format!("call it my-{name}, say, and begin it with like = \"{name}\"");
                self.problems.push(Problem::new(problem, Some(key.span())).help(help));
                continue;
            }
            let before = self.problems.len();
            let made = self.profile(name, profile).or_else(|error| {
                // Beside a key that could not be read, others may only seem wrong.
                if self.problems.len() == before {
                    let span = culprit(profile, &error).unwrap_or_else(|| key.span());
                    self.problems.push(Problem::new(error.to_string(), Some(span)));
                }
                // Its name is known all the same.
                Profile::new(name, Direction::default(), Direction::default())
            });
            draft.profiles.extend(made);
        }
    }

    fn profile(&mut self, name: &str, table: &DeTable<'_>) -> Result<Profile, NetworkError> {
        let known: Vec<&str> = WHOLE.into_iter().chain(WAY).collect();
        self.check_keys(table, "a network profile", &known);
        let base = table.get("like").and_then(|value| self.like(value)).unwrap_or_else(Profile::perfect);
        let both = self.way(table);
        let [up, down] = [("up", base.up()), ("down", base.down())].map(|(key, direction)| {
            let mut direction = *direction;
            both.apply(&mut direction);
            if let Some(own) = table.get(key).and_then(|value| self.table(key, value)) {
                self.check_keys(own, "one way of a network", &WAY);
                self.way(own).apply(&mut direction);
            }
            direction
        });
        let mut profile = Profile::new(name, up, down)?;
        if let Some(outages) = table.get("outages").and_then(|value| self.outages(value)).or(base.outages()) {
            profile = profile.with_outages(outages)?;
        }
        let new_address = table.get("new-address").and_then(|value| self.duration("new-address", value));
        match new_address.map(|time| time.value).or(base.new_address()) {
            Some(time) => profile.with_new_address(time),
            None => Ok(profile),
        }
    }

    /// The kit's profile with which one of the plan's own begins.
    fn like(&mut self, value: &Value<'_>) -> Option<Profile> {
        let name = self.string("like", value)?;
        let found = find(&name.value, &[]);
        found.map_err(|error| self.problems.push(Problem::new(error.to_string(), name.span))).ok()
    }

    fn outages(&mut self, value: &Value<'_>) -> Option<Outages> {
        let table = self.table("outages", value)?;
        self.check_keys(table, "outages", &["every", "lasts"]);
        let (Some(every), Some(lasts)) = (table.get("every"), table.get("lasts")) else {
            let help = "write outages = { every = \"30s\", lasts = \"2s\" }";
            self.wrong(value, "outages need both `every` and `lasts`".into(), help);
            return None;
        };
        let (every, lasts) = (self.duration("every", every), self.duration("lasts", lasts));
        Some(Outages { every: every?.value, lasts: lasts?.value })
    }

    /// What a table says of one way, or of both.
    fn way(&mut self, table: &DeTable<'_>) -> Way {
        let mut way = Way::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "latency" => way.latency = self.time(name, value),
                "jitter" => way.jitter = self.time(name, value),
                "jitter-shape" => way.shape = self.one_of(value, &["uniform", "exponential", "log-normal"]),
                "jitter-sigma" => way.sigma = self.number(name, value),
                "jitter-wanders" => way.wanders = self.time(name, value),
                "loss" => way.loss = self.share(name, value),
                "bursts" => way.bursts = self.bursts(value),
                "duplicate" => way.duplicate = self.share(name, value),
                "reorder" => way.reorder = self.share(name, value),
                "reorder-by" => way.reorder_by = self.time(name, value),
                "bandwidth" => way.bits_per_second = self.bits_per_second(value),
                "queue" => way.queue = self.queue(value),
                "mtu" => way.mtu = self.bytes_of_packet(name, value),
                "oversized" => way.drops = self.one_of(value, &["count", "drop"]).map(|index| index == 1),
                _ => {}
            }
        }
        way
    }

    fn bursts(&mut self, value: &Value<'_>) -> Option<Bursts> {
        const KEYS: [&str; 4] = ["worsens", "recovers", "loss-good", "loss-bad"];
        let table = self.table("bursts", value)?;
        self.check_keys(table, "bursts", &KEYS);
        let [worsens, recovers, loss_good, loss_bad] =
            KEYS.map(|key| table.get(key).map(|value| self.share(key, value)));
        let (Some(worsens), Some(recovers)) = (worsens, recovers) else {
            let help = "write bursts = { worsens = \"1%\", recovers = \"20%\" }, and loss-bad if not all is lost then";
            self.wrong(value, "bursts need both `worsens` and `recovers`".into(), help);
            return None;
        };
        let (loss_good, loss_bad) = (loss_good.unwrap_or(Some(0.0))?, loss_bad.unwrap_or(Some(1.0))?);
        Some(Bursts { worsens: worsens?, recovers: recovers?, loss_good, loss_bad })
    }

    fn time(&mut self, name: &str, value: &Value<'_>) -> Option<Duration> {
        self.duration(name, value).map(|time| time.value)
    }

    fn table<'v, 't>(&mut self, name: &str, value: &'v Value<'t>) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(value, format!("`{name}` is {}", article(value)), "write a table");
        }
        table
    }

    fn check_keys(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for (key, _) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                self.unknown(key, place, known);
            }
        }
    }
}

/// What a table says of one way; the rest stays as it was.
#[derive(Default)]
struct Way {
    latency: Option<Duration>,
    /// Its mean.
    jitter: Option<Duration>,
    /// 0 uniform, 1 exponential, 2 log-normal.
    shape: Option<usize>,
    sigma: Option<f64>,
    wanders: Option<Duration>,
    loss: Option<f64>,
    bursts: Option<Bursts>,
    duplicate: Option<f64>,
    reorder: Option<f64>,
    reorder_by: Option<Duration>,
    bits_per_second: Option<u64>,
    queue: Option<Queue>,
    mtu: Option<u16>,
    drops: Option<bool>,
}

impl Way {
    fn apply(&self, way: &mut Direction) {
        way.latency = self.latency.unwrap_or(way.latency);
        way.loss = self.loss.unwrap_or(way.loss);
        way.duplicate = self.duplicate.unwrap_or(way.duplicate);
        way.bursts = self.bursts.or(way.bursts);
        self.apply_jitter(way);
        if self.reorder.is_some() || self.reorder_by.is_some() {
            let before = way.reorder.unwrap_or(Reorder { share: 0.0, by: DEFAULT_REORDER_BY });
            let reorder =
                Reorder { share: self.reorder.unwrap_or(before.share), by: self.reorder_by.unwrap_or(before.by) };
            way.reorder = Some(reorder).filter(|reorder| reorder.share != 0.0);
        }
        let rate = self.bits_per_second.or(way.line.map(|line| line.bits_per_second));
        let queue = self.queue.or(way.line.map(|line| line.queue)).unwrap_or(DEFAULT_QUEUE);
        way.line = rate.map(|bits_per_second| Line { bits_per_second, queue });
        let bytes = self.mtu.or(way.mtu.map(|mtu| mtu.bytes));
        let drops = self.drops.or(way.mtu.map(|mtu| mtu.drops)).unwrap_or(true);
        way.mtu = bytes.map(|bytes| Mtu { bytes, drops });
    }

    fn apply_jitter(&self, way: &mut Direction) {
        if self.jitter.or(self.wanders).is_none() && self.shape.is_none() && self.sigma.is_none() {
            return;
        }
        let (shape, sigma) = match way.jitter.map(|jitter| jitter.spread) {
            Some(Spread::Uniform(_)) => (0, DEFAULT_SIGMA),
            Some(Spread::LogNormal { sigma, .. }) => (2, sigma),
            Some(Spread::Exponential(_)) | None => (1, DEFAULT_SIGMA),
        };
        let mean = self.jitter.or(way.jitter.map(|jitter| jitter.spread.mean())).unwrap_or_default();
        let spread = match self.shape.unwrap_or(shape) {
            0 => Spread::Uniform(mean.saturating_mul(2)),
            1 => Spread::Exponential(mean),
            _ => Spread::log_normal_of_mean(mean, self.sigma.unwrap_or(sigma)),
        };
        let wanders = self.wanders.or(way.jitter.map(|jitter| jitter.wanders)).unwrap_or(DEFAULT_WANDERS);
        way.jitter = (!mean.is_zero()).then_some(Jitter { spread, wanders });
    }
}

/// Where the figure stands that an error is about.
fn culprit(table: &DeTable<'_>, error: &NetworkError) -> Option<std::ops::Range<usize>> {
    let key = match error {
        NetworkError::Share { what, .. } | NetworkError::Time { what, .. } => what.split('.').next()?,
        NetworkError::Sigma { .. } => "jitter-sigma",
        NetworkError::Rate { .. } => "bandwidth",
        NetworkError::Mtu { .. } => "mtu",
        _ => return None,
    };
    let ways = ["up", "down"].into_iter().filter_map(|way| table.get(way)?.get_ref().as_table());
    let value = ways.chain([table]).find_map(|table| table.get(key))?;
    Some(value.span())
}
