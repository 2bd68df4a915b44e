//! `credentials -> whose they are, and what the account has room for`: of a fleet on AWS, as AWS itself says.

use std::path::PathBuf;
use std::time::Duration;

use loadkit_aws::{AwsError, Client, Config, ConfigError, FARGATE_VCPUS, LAMBDA_CONCURRENCY, Tries};
use loadkit_core::{format, format_duration};

use crate::fleet::apart;

use super::checks::{Need, finding, seconds, unknown};
use super::machine::{Machine, is_there};
use super::{Finding, State};

/// What brings credentials of a profile into the environment.
const EXPORT: &str = "eval \"$(aws configure export-credentials --format env)\"";
/// Players of a Lambda, and of a task on Fargate, where nobody says how many: as the fleet has it.
const PLAYERS: (u64, u64) = (500, 5_000);
/// Clocks that are further apart than this are worth a word, ms: signatures are good for five minutes.
const CLOCK_MS: u64 = 10_000;
/// vCPUs of a task where the environment does not say: as the template has it.
const TASK_VCPUS: f64 = 2.0;

/// Whether there are good credentials where they are needed, and room for the workers.
pub(super) fn all(machine: &Machine, need: &Need) -> Vec<Finding> {
    let config = match credentials(machine, need) {
        Ok(Some(config)) => config,
        Ok(None) => return vec![none_needed(need), quotas(need)],
        Err(fault) => return vec![fault, quotas(need)],
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(ask(config, machine, need)),
        Err(error) => vec![unknown("credentials", &format!("the system gives no runtime: {error}")), quotas(need)],
    }
}

fn none_needed(need: &Need) -> Finding {
    let found = if need.token { "a token for the fleet" } else { "none are needed: the fleet is this machine" };
    finding("credentials", State::Ok, found, "")
}

/// Where there is nobody to ask.
fn quotas(need: &Need) -> Finding {
    match &need.fleet {
        None if need.credentials => unknown("quotas", "nobody can be asked without credentials"),
        None => finding("quotas", State::Ok, "none: the fleet is this machine", ""),
        Some(url) => {
            unknown("quotas", &format!("the fleet at {url} asks for them before each launch, and refuses by name"))
        }
    }
}

/// With what AWS is asked; none where nothing is needed of it.
fn credentials(machine: &Machine, need: &Need) -> Result<Option<Config>, Finding> {
    if need.token || !need.credentials {
        return Ok(None);
    }
    let fault = |found: String, remedy: &str| Err(finding("credentials", State::Fault, found, remedy));
    if let Some(end) = (machine.variable)("AWS_CREDENTIAL_EXPIRATION")
        && let Some(end) = seconds(&end)
        && end <= machine.now
    {
        let ago = format_duration(Duration::from_secs(machine.now - end));
        return fault(format!("they ended {ago} ago"), &renewed());
    }
    let variable = |name: &str| match (name, &need.region) {
        ("AWS_REGION", Some(region)) => Some(region.clone()),
        _ => (machine.variable)(name),
    };
    match Config::read(&variable) {
        Ok(config) => Ok(Some(config)),
        Err(ConfigError::Region) => fault("no region is named".into(), "export AWS_REGION=eu-west-1, or yours"),
        Err(ConfigError::Credentials) => match elsewhere(machine) {
            Some(place) => fault(format!("they are {place}, and the environment has none"), EXPORT),
            None => fault("there are none".into(), &renewed()),
        },
        Err(error) => fault(error.to_string(), "unset AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    }
}

fn renewed() -> String {
    format!("aws sso login && {EXPORT}")
}

/// Where AWS's own tools would find some.
fn elsewhere(machine: &Machine) -> Option<String> {
    let variable = |name: &str| (machine.variable)(name);
    if variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        return Some("those of the pod".into());
    }
    let file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let file = file.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".aws/credentials")));
    file.filter(|file| is_there(file)).map(|file| format!("in {}", file.display()))
}

async fn ask(config: Config, machine: &Machine, need: &Need) -> Vec<Finding> {
    let region = config.region.clone();
    // Somebody waits for it.
    let mut config = Config { tries: Tries { most: 2, give_up: Duration::from_secs(5), ..config.tries }, ..config };
    (config.limits.connect, config.limits.call) = (Duration::from_secs(3), Duration::from_secs(5));
    let client = Client::new(config);
    match client.identity().await {
        Ok(identity) => {
            let found = format!("good: {} in account {}, {region}", identity.arn, identity.account);
            let mut all = vec![finding("credentials", State::Ok, found, "")];
            all.extend(clock(client.clock().ahead_ms()));
            if need.may_play_on("lambda") {
                all.push(lambda(client.lambda_concurrency().await, need));
            }
            if need.may_play_on("fargate") {
                all.push(fargate(client.fargate_vcpus().await, machine, need));
            }
            all
        }
        Err(error) => vec![refused(&error, &region), quotas(need)],
    }
}

/// Whether this machine's time is AWS's; nothing is said where it is.
fn clock(ahead: Option<(i64, u64)>) -> Option<Finding> {
    let (ms, off_by) = ahead?;
    let is_wrong = ms.unsigned_abs() > CLOCK_MS + off_by;
    is_wrong.then(|| {
        let found = format!("this machine's clock is {}; requests are signed by AWS's", apart(ms));
        finding("clock of AWS", State::Warning, found, "sudo timedatectl set-ntp true")
    })
}

fn refused(error: &AwsError, region: &str) -> Finding {
    let (found, remedy) = match error.code.as_str() {
        "ExpiredToken" | "ExpiredTokenException" => (format!("they have ended: {error}"), renewed()),
        "unreachable" => (
            format!("nobody can be asked whether they are good: {error}"),
            format!("curl -sS https://sts.{region}.amazonaws.com must answer: look for a proxy, or a VPC endpoint"),
        ),
        "RequestTimeTooSkewed" => (format!("the clock is wrong: {error}"), "sudo timedatectl set-ntp true".into()),
        _ => (format!("AWS does not take them: {error}"), EXPORT.into()),
    };
    finding("credentials", State::Fault, found, remedy)
}

/// What an answer says of a quota: so many, of so many that are needed.
fn room(name: &'static str, right: &str, answer: Result<Option<f64>, AwsError>) -> Result<f64, Finding> {
    match answer {
        Ok(Some(most)) => Ok(most),
        Ok(None) => Err(unknown(name, "AWS does not tell the quota")),
        Err(error) if error.code.starts_with("AccessDenied") => {
            Err(unknown(name, &format!("these credentials may not ask: allow {right}")))
        }
        Err(error) => Err(unknown(name, &format!("the quota is not told: {error}"))),
    }
}

fn lambda(answer: Result<Option<u64>, AwsError>, need: &Need) -> Finding {
    match room("lambda", "lambda:GetAccountSettings", answer.map(|most| most.map(|most| most as f64))) {
        Err(unknown) => unknown,
        Ok(most) => {
            let needed = need.workers.unwrap_or_else(|| need.players.div_ceil(PLAYERS.0)).max(1);
            let found = format!(
                "{} may run at a time, {} needed for {}",
                format::counted(most as u64, "function", "functions"),
                format::count(needed),
                format::counted(need.players, "player", "players")
            );
            short("lambda", need, most < needed as f64, found, &more("lambda", LAMBDA_CONCURRENCY, needed))
        }
    }
}

fn fargate(answer: Result<Option<f64>, AwsError>, machine: &Machine, need: &Need) -> Finding {
    match room("fargate", "servicequotas:GetServiceQuota", answer) {
        Err(unknown) => unknown,
        Ok(most) => {
            let tasks = need.workers.unwrap_or_else(|| need.players.div_ceil(PLAYERS.1)).max(1);
            let own = (machine.variable)("LOADKIT_TASK_VCPUS").and_then(|vcpus| vcpus.parse::<f64>().ok());
            let own = own.filter(|vcpus| (0.25..=16.0).contains(vcpus)).unwrap_or(TASK_VCPUS);
            let needed = (tasks as f64 * own).ceil();
            let found = format!(
                "{} vCPUs at a time, {} needed: {} for {}",
                format::number(most),
                format::number(needed),
                format::counted(tasks, "task", "tasks"),
                format::counted(need.players, "player", "players")
            );
            short("fargate", need, most < needed, found, &more("fargate", FARGATE_VCPUS, needed as u64))
        }
    }
}

/// What is too little is a fault where the players can be nowhere else.
fn short(name: &'static str, need: &Need, is_short: bool, found: String, remedy: &str) -> Finding {
    let state = match is_short {
        false => State::Ok,
        true if need.runner.as_deref() == Some(name) => State::Fault,
        true => State::Warning,
    };
    finding(name, state, found, remedy)
}

fn more(service: &str, quota: &str, needed: u64) -> String {
    format!(
        "aws service-quotas request-service-quota-increase --service-code {service} --quota-code {quota} --desired-value \
         {needed}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud() -> Need {
        Need { credentials: true, fleet: Some("https://fleet.test".into()), ..Need::default() }
    }

    fn look(variables: &[(&str, &str)], need: &Need) -> Finding {
        match credentials(&Machine::made_up(&[], variables), need) {
            Ok(Some(_)) => finding("credentials", State::Ok, "to be asked", ""),
            Ok(None) => none_needed(need),
            Err(fault) => fault,
        }
    }

    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")];
    const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");

    #[test]
    fn credentials_are_looked_for_where_they_are_needed() {
        assert_eq!(look(&[], &Need::default()).state, State::Ok);
        assert_eq!(look(&[], &Need { token: true, ..cloud() }).found, "a token for the fleet");
        assert_eq!(look(&[REGION], &cloud()).found, "there are none");
        assert_eq!(look(&KEY, &cloud()).found, "no region is named");
        assert_eq!(look(&[KEY[0], KEY[1], REGION], &cloud()).found, "to be asked");
        assert_eq!(look(&KEY, &Need { region: Some("eu-west-1".into()), ..cloud() }).found, "to be asked");
        let ending = |at: &'static str| look(&[KEY[0], KEY[1], REGION, ("AWS_CREDENTIAL_EXPIRATION", at)], &cloud());
        let ended = ending("2023-11-14T22:03:20Z");
        assert_eq!((ended.state, ended.found.as_str()), (State::Fault, "they ended 10m ago"));
        assert_eq!(ending("2030-01-01T00:00:00Z").state, State::Ok);
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().display().to_string();
        let in_file = look(&[REGION, ("AWS_SHARED_CREDENTIALS_FILE", &file)], &cloud());
        assert!(in_file.found.ends_with("the environment has none"), "{in_file:?}");
        assert_eq!(in_file.remedy.as_deref(), Some(EXPORT));
    }

    #[test]
    fn a_short_quota_is_a_fault_where_players_can_be_nowhere_else() {
        let need = |runner: &str, players| Need { runner: Some(runner.into()), players, ..cloud() };
        let machine = Machine::made_up(&[], &[]);
        assert_eq!(lambda(Ok(Some(10)), &need("lambda", 5_000)).state, State::Ok);
        let short = lambda(Ok(Some(10)), &need("lambda", 5_001));
        assert_eq!(
            (short.state, short.found.as_str()),
            (State::Fault, "10 functions may run at a time, 11 needed for 5,001 players")
        );
        assert!(short.remedy.unwrap().ends_with("--service-code lambda --quota-code L-B99A9384 --desired-value 11"));
        assert_eq!(lambda(Ok(Some(10)), &need("auto", 5_001)).state, State::Warning);
        let short = fargate(Ok(Some(6.0)), &machine, &need("fargate", 20_000));
        assert_eq!(
            (short.state, short.found.as_str()),
            (State::Fault, "6 vCPUs at a time, 8 needed: 4 tasks for 20,000 players")
        );
        assert_eq!(lambda(Ok(None), &need("lambda", 1)).state, State::Unknown);
    }
}
