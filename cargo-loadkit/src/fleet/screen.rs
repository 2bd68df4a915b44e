//! How a run is shown: a block that redraws itself on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadkit_core::format::{clock, count, counted, fit, micros, rate};
use loadkit_fleet::api::{LiveFigures, LiveStep};
use loadkit_fleet::{Crew, RunRecord, RunState};
use tokio::time::Instant;

use super::events::Heard;
use crate::output::Output;

/// The narrowest terminal that the block fits.
const WIDTH: usize = 80;
/// Steps shown in the block; a terminal has 24 lines.
const MAX_STEPS: usize = 12;
/// Without a terminal: a line of figures so often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// A silence that is shorter is nothing to be told of.
const SILENT: Duration = Duration::from_secs(2);
/// Without a terminal a silence is told so often.
const SILENT_EVERY: Duration = Duration::from_secs(10);

/// Shows a run.
#[derive(Debug)]
pub(crate) struct Screen {
    to: To,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum To {
    Block(ProgressBar),
    Lines(Output),
    #[cfg(test)]
    Memory(Mutex<String>),
}

/// What is known of the run.
#[derive(Debug, Default)]
struct Known {
    title: String,
    state: Option<RunState>,
    length: Duration,
    crew: Crew,
    latest: LiveFigures,
    /// Of each step: how often it was done, and how often it failed.
    totals: BTreeMap<String, (u64, u64)>,
    silence: Option<String>,
    /// The next line of figures comes at this time of the run.
    next_line: Duration,
    /// How long the silence was when it was told.
    told_silence: Option<Duration>,
    told_crew: Option<(Instant, Crew)>,
}

impl Screen {
    /// For this run, on standard error.
    pub(crate) fn new(record: &RunRecord, output: &Output) -> Screen {
        let on_terminal = std::io::stderr().is_terminal() && !output.is_quiet();
        let to = if on_terminal {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant that holds; the default shows the message too.
            let style = ProgressStyle::default_spinner();
            To::Block(bar.with_style(style.clone().template("{msg}").unwrap_or(style)))
        } else {
            To::Lines(*output)
        };
        let workers = counted(u64::from(record.workers), "worker", "workers");
        let scenario = if record.scenario.is_empty() { "the scenario" } else { &record.scenario };
        let title = format!("run {} of {scenario} against {}: {workers}, {}", record.id, record.target, record.home);
        let screen = Screen { to, known: Mutex::new(Known { title: title.clone(), ..Known::default() }) };
        screen.known().crew.workers = record.workers;
        screen.say(&title);
        screen
    }

    #[cfg(test)]
    pub(crate) fn to_memory() -> Screen {
        Screen { to: To::Memory(Mutex::default()), known: Mutex::default() }
    }

    #[cfg(test)]
    pub(crate) fn said(&self) -> String {
        match &self.to {
            To::Memory(text) => text.lock().unwrap().clone(),
            _ => String::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what was told.
    pub(crate) fn heard(&self, heard: &Heard) {
        let lines = self.known().take(heard);
        if matches!(self.to, To::Block(_)) && !matches!(heard, Heard::Note(_)) {
            return self.draw();
        }
        for line in lines {
            self.say(&line);
        }
        self.draw();
    }

    /// Shows that nothing was heard for so long, and why.
    pub(crate) fn silent(&self, since: Duration, why: &str) {
        let mut known = self.known();
        let line = format!("no news for {} s: {why}", since.as_secs());
        known.silence = Some(line.clone());
        let is_due = since >= known.told_silence.map_or(SILENT, |told| told + SILENT_EVERY);
        if is_due {
            known.told_silence = Some(since);
        }
        drop(known);
        match self.to {
            To::Block(_) => self.draw(),
            _ if is_due => self.say(&line),
            _ => {}
        }
    }

    /// Shows that something is heard again.
    pub(crate) fn back(&self, after: Duration) {
        let mut known = self.known();
        let was_told = known.told_silence.take().is_some();
        known.silence = None;
        drop(known);
        if was_told && after >= SILENT {
            self.say(&format!("news again, after {} s", after.as_secs()));
        }
    }

    /// Takes the block away.
    pub(crate) fn end(&self) {
        if let To::Block(bar) = &self.to {
            bar.set_message("");
            bar.tick();
        }
    }

    fn draw(&self) {
        if let To::Block(bar) = &self.to {
            bar.set_message(self.known().block());
        }
    }

    fn say(&self, line: &str) {
        match &self.to {
            To::Block(bar) => bar.println(line),
            To::Lines(output) => output.say(line),
            #[cfg(test)]
            To::Memory(text) => *text.lock().unwrap() += &format!("{line}\n"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let To::Block(bar) = &self.to {
            bar.finish_and_clear();
        }
    }
}

impl Known {
    /// Takes in what was told; the lines that say so where there is no block.
    fn take(&mut self, heard: &Heard) -> Vec<String> {
        match heard {
            Heard::State(record) | Heard::Ended(record) => {
                self.length = Duration::from_millis(record.ends_at_ms.saturating_sub(record.start_at_ms));
                let is_new = self.state.replace(record.state) != Some(record.state);
                is_new.then(|| named(record.state).to_owned()).into_iter().collect()
            }
            Heard::Workers(crew) => {
                self.crew = *crew;
                let now = Instant::now();
                let is_whole = crew.claimed + crew.playing + crew.ended >= crew.workers;
                let is_due = match self.told_crew {
                    Some((at, told)) => told != *crew && (is_whole || now - at >= SILENT),
                    None => true,
                };
                if is_due {
                    self.told_crew = Some((now, *crew));
                }
                is_due.then(|| workers(crew)).into_iter().collect()
            }
            Heard::Figures(figures) => {
                for (name, step) in &figures.steps {
                    let total = self.totals.entry(name.clone()).or_default();
                    (total.0, total.1) = (total.0 + step.count, total.1 + step.failed);
                }
                self.latest = figures.clone();
                let at = Duration::from_micros(figures.to_us);
                let is_due = at >= self.next_line;
                if is_due {
                    self.next_line = at + LINE_EVERY;
                }
                is_due.then(|| self.line()).into_iter().collect()
            }
            Heard::Note(note) => vec![format!("note: {}", note.text)],
            Heard::Fault(why) => vec![format!("the fleet cannot go on telling: {why}")],
            Heard::Alive => Vec::new(),
        }
    }

    fn at(&self) -> Duration {
        Duration::from_micros(self.latest.to_us)
    }

    fn players(&self) -> String {
        let players = &self.latest.players;
        let failed: u64 = self.totals.values().map(|(_, failed)| failed).sum();
        format!(
            "{} connected, {} playing of {} planned; {}",
            count(players.connected),
            count(players.active),
            count(players.planned),
            counted(failed, "step failed", "steps failed"),
        )
    }

    /// The plain line.
    fn line(&self) -> String {
        let busiest = self.latest.steps.iter().max_by_key(|(_, step)| step.count);
        let step = busiest.map_or_else(String::new, |(name, step)| {
            let (p50, p99) = times(step);
            format!("; {name} {} p50 {p50} p99 {p99}", rate(self.per_second(step)))
        });
        format!("{} of {}  {}{step}", clock(self.at()), clock(self.length), self.players())
    }

    fn per_second(&self, step: &LiveStep) -> f64 {
        let width = Duration::from_micros(self.latest.to_us.saturating_sub(self.latest.from_us));
        (step.count + step.failed) as f64 / width.as_secs_f64().max(1e-6)
    }

    fn block(&self) -> String {
        let state = self.state.map_or("asked for", named);
        let mut lines = vec![self.title.clone()];
        lines.push(match self.latest.to_us {
            0 => state.to_owned(),
            _ => format!("{state}: {} of {}", clock(self.at().min(self.length)), clock(self.length)),
        });
        lines.push(workers(&self.crew));
        if self.latest.to_us > 0 {
            lines.push(format!("players  {}", self.players()));
            lines.push(format!("{:<24}{:>11}{:>12}{:>12}{:>12}", "step", "rate", "p50", "p99", "failed"));
        }
        let mut steps: Vec<_> = self.totals.iter().collect();
        steps.sort_by_key(|(_, (done, failed))| std::cmp::Reverse(done + failed));
        for (name, (_, failed)) in steps.iter().take(MAX_STEPS) {
            let now = self.latest.steps.get(*name).copied().unwrap_or_default();
            let (p50, p99) = times(&now);
            lines.push(format!(
                "{:<24}{:>11}{p50:>12}{p99:>12}{:>12}",
                fit(name, 23),
                rate(self.per_second(&now)),
                count(*failed)
            ));
        }
        if steps.len() > MAX_STEPS {
            lines.push(counted((steps.len() - MAX_STEPS) as u64, "more step", "more steps"));
        }
        lines.extend(self.silence.clone());
        lines.iter().map(|line| fit(line, WIDTH - 1)).collect::<Vec<_>>().join("\n")
    }
}

fn times(step: &LiveStep) -> (String, String) {
    match step.count {
        0 => ("-".into(), "-".into()),
        _ => (micros(step.p50_us as f64), micros(step.p99_us as f64)),
    }
}

fn named(state: RunState) -> &'static str {
    match state {
        RunState::Assembling => "assembling",
        RunState::Running => "playing",
        RunState::Draining => "the players leave",
        RunState::Ended => "ended",
    }
}

fn workers(crew: &Crew) -> String {
    let Crew { workers, claimed, playing, ended, lost } = crew;
    let lost = if *lost > 0 { format!(", {lost} lost") } else { String::new() };
    format!("workers  {claimed} wait, {playing} play, {ended} have ended, of {workers}{lost}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(second: u64, failed: u64) -> Heard {
        let step = LiveStep { count: 20, failed, p50_us: 1_100, p99_us: 3_000 };
        Heard::Figures(LiveFigures {
            from_us: second * 1_000_000,
            to_us: (second + 1) * 1_000_000,
            players: loadkit_fleet::api::LivePlayers { active: 9, connected: 9, planned: 10 },
            steps: [("ping".to_owned(), step)].into(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_few_and_say_it_all() {
        let screen = Screen::to_memory();
        for claimed in [0, 1, 2, 3] {
            screen.heard(&Heard::Workers(Crew { workers: 3, claimed, ..Crew::default() }));
        }
        for second in 0..12 {
            screen.heard(&figures(second, u64::from(second == 2)));
        }
        screen.silent(Duration::from_secs(1), "it broke");
        screen.silent(Duration::from_secs(5), "it broke");
        screen.silent(Duration::from_secs(16), "it broke");
        screen.back(Duration::from_secs(17));
        let said = screen.said();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "workers  0 wait, 0 play, 0 have ended, of 3",
                "workers  3 wait, 0 play, 0 have ended, of 3",
                "0:01 of 0:00  9 connected, 9 playing of 10 planned; 0 steps failed; ping 20/s p50 1.1 ms p99 3 ms",
                "0:06 of 0:00  9 connected, 9 playing of 10 planned; 1 step failed; ping 20/s p50 1.1 ms p99 3 ms",
                "0:11 of 0:00  9 connected, 9 playing of 10 planned; 1 step failed; ping 20/s p50 1.1 ms p99 3 ms",
                "no news for 5 s: it broke",
                "no news for 16 s: it broke",
                "news again, after 17 s",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_block_fits_a_terminal() {
        let screen = Screen::to_memory();
        screen.known().title = "run 0000000000000001 of rudp against 127.0.0.1:4000: 3 workers, local".into();
        screen.heard(&Heard::Workers(Crew { workers: 3, playing: 3, lost: 1, ..Crew::default() }));
        screen.heard(&figures(0, 2));
        screen.silent(Duration::from_secs(30), &"long ".repeat(40));
        let block = screen.known().block();
        assert!(block.lines().count() < 24 && block.lines().all(|line| line.chars().count() < WIDTH), "{block}");
        for part in ["workers  0 wait, 3 play, 0 have ended, of 3, 1 lost", "ping", "no news for 30 s"] {
            assert!(block.contains(part), "{block}");
        }
    }
}
