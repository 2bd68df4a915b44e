//! `LOADKIT_JOB -> life -> exit code`: a worker that is a process of its own, on this machine or in a container.

use std::env;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::parse_duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::job::Job;
use crate::life::{Client, Home, Log, Notice, Worker, live};
use crate::line::Line;

/// The variable that holds the job.
pub const JOB: &str = "LOADKIT_JOB";
/// Variables that hold the worker's number in place of the job's, the first that is set: one's own, that of a Kubernetes
/// Indexed Job, and that of an AWS Batch array job. So one job serves many processes.
const NUMBERS: [&str; 3] = ["LOADKIT_WORKER", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX"];
/// What ECS calls the time between SIGTERM and SIGKILL.
const STOP_TIMEOUT: &str = "ECS_CONTAINER_STOP_TIMEOUT";
/// The same where nobody says so: ECS's and Kubernetes's own default.
const DEFAULT_STOP: Duration = Duration::from_secs(30);
/// No home gives more.
const MAX_STOP: Duration = Duration::from_secs(3_600);
/// A second signal leaves so much.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Whether this process was started as a worker.
pub fn is_called() -> bool {
    env::var_os(JOB).is_some()
}

/// Has a closure called at each signal that asks the process to end, from now on. This crate asks the system for nothing of the
/// kind: the client does.
pub type Listen = fn(Box<dyn FnMut() + Send>) -> std::io::Result<()>;

/// Lives the life of the worker that the environment says. Signals (SIGTERM and SIGINT) make its players leave within the
/// home's stop time-out. 0 if the worker did what it should, 1 if not, 2 if the job makes no sense.
pub fn run(
    client: Arc<dyn Client>,
    kind: &str,
    signals: Listen,
    line: impl FnOnce(&Job) -> Result<Arc<dyn Line>, String>,
) -> ExitCode {
    let log = Log::stderr();
    let prepared = job(|name| env::var_os(name)).and_then(|job| Ok((line(&job)?, job)));
    let (line, job) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => {
            log.say(None, "error", &why);
            return ExitCode::from(2);
        }
    };
    let (sender, notice) = watch::channel(Notice::default());
    let stop = stop_timeout(env::var(STOP_TIMEOUT).ok().as_deref());
    if let Err(error) = signals(leave(sender, stop, log.clone())) {
        log.say(None, "error", &format!("signals end the worker at once: {error}"));
    }
    // In a container every process has the same number.
    let nonce = RandomState::new().hash_one(kind) as u32;
    let name = format!("{}{}/{nonce:08x}", host(), std::process::id());
    let home = Home::new(kind, name).with_notice(notice);
    let worker = Worker { client, job, line, clock: Arc::new(SystemClock), home, log };
    ExitCode::from(u8::from(!live(&worker).is_well()))
}

/// The machine's name where it has one, as containers do.
fn host() -> String {
    env::var("HOSTNAME").ok().filter(|name| name.len() <= 200).map_or_else(String::new, |name| format!("{name}/"))
}

/// The job that these variables say.
fn job(variable: impl Fn(&str) -> Option<OsString>) -> Result<Job, String> {
    let text = variable(JOB).ok_or_else(|| format!("{JOB} is not set"))?;
    let job = Job::parse(text.as_encoded_bytes()).map_err(|error| format!("{JOB}: {error}"))?;
    let Some((name, number)) = NUMBERS.into_iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(job);
    };
    let wrong = || format!("{name} is {number:?}, and should be a worker's number");
    let worker = number.to_str().and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    Ok(Job { worker, ..job })
}

/// `30s`, `2m`, or a number of seconds.
fn stop_timeout(text: Option<&str>) -> Duration {
    let seconds = |text: &str| text.trim().parse().map(Duration::from_secs).ok();
    let time = text.and_then(|text| seconds(text).or_else(|| parse_duration(text).ok()));
    time.unwrap_or(DEFAULT_STOP).min(MAX_STOP)
}

/// What is done at each signal: the first leaves the players the home's stop time-out, the second hardly any time. Beyond that
/// the home's own SIGKILL comes.
fn leave(notice: watch::Sender<Notice>, stop: Duration, log: Log) -> Box<dyn FnMut() + Send> {
    let mut times = [stop, AT_ONCE.min(stop)].into_iter();
    Box::new(move || {
        if let Some(left) = times.next() {
            log.say(None, "signal", &format!("the players leave, {} s are left", left.as_secs()));
            notice.send_replace(Notice { gone_by: Some(Instant::now() + left), leave: true });
        }
    })
}

#[cfg(test)]
mod tests {
    use loadkit_core::RunId;

    use super::*;
    use crate::job::Address;

    #[test]
    fn the_job_and_the_number_come_from_the_environment() {
        let line = Address::Http { url: "http://127.0.0.1:1".into(), token: "t".into() };
        let text = Job::new(RunId(7), 3, line).to_json();
        let with = |more: &'static [(&'static str, &'static str)]| {
            let text = text.clone();
            job(move |name| {
                let own = (name == JOB).then(|| text.clone());
                own.or_else(|| more.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())).map(OsString::from)
            })
        };
        assert_eq!(with(&[]).unwrap().worker, 3);
        assert_eq!(with(&[("JOB_COMPLETION_INDEX", "17")]).unwrap().worker, 17);
        assert_eq!(with(&[("JOB_COMPLETION_INDEX", "17"), ("LOADKIT_WORKER", "2")]).unwrap().worker, 2);
        assert!(with(&[("JOB_COMPLETION_INDEX", "x")]).unwrap_err().contains("JOB_COMPLETION_INDEX is \"x\""));
        assert!(job(|_| None).unwrap_err().contains("not set"));
        assert!(job(|_| Some("{}".into())).unwrap_err().contains("no schema"));
    }

    #[test]
    fn stop_timeouts_are_read_as_ecs_writes_them() {
        for (text, secs) in [(None, 30), (Some("120"), 120), (Some("2m"), 120), (Some("45s"), 45), (Some("soon"), 30)] {
            assert_eq!(stop_timeout(text), Duration::from_secs(secs), "{text:?}");
        }
    }

    #[test]
    fn the_second_signal_leaves_hardly_any_time_and_the_third_says_nothing_new() {
        let (sender, notice) = watch::channel(Notice::default());
        let mut each = leave(sender, Duration::from_secs(60), Log::silent());
        let mut gone_by = || {
            each();
            let notice = *notice.borrow();
            assert!(notice.leave);
            notice.gone_by.unwrap()
        };
        let (first, second) = (gone_by(), gone_by());
        assert!(first - second > Duration::from_secs(50), "{first:?}, {second:?}");
        assert_eq!(gone_by(), second);
    }
}
