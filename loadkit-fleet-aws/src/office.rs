//! `environment -> Setting -> Office`: what a function is made of, read once and checked.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use loadkit_aws::{Client, Config, DynamoDb, EventBridge, FargateLauncher, LambdaLauncher, Task};
use loadkit_fleet::api::{Access, Administrators, FleetService, router};
use loadkit_fleet::{
    Fleet, Guard, Guarded, Home, Launcher, Notifier, Policy, Settings, Silent, Tokens, Unguarded, Usual, WorkerLine,
};
use loadkit_worker::Terms;

use crate::waking::Waking;

/// Where a policy lies that is packed beside the binary.
const POLICY_FILE: &str = "policy.toml";

/// How long the worker function may take, as the template says; the same for all that this process does.
static WORKER_LIFE: OnceLock<Duration> = OnceLock::new();

/// What a function does.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// The front door.
    Api(Router),
    /// From the queue to the table.
    Collector,
    /// Looks after runs.
    Keeper {
        /// Invokes its next one.
        client: Client,
        /// What that is called.
        own_name: String,
    },
}

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Setting {
    role: RoleName,
    config: Config,
    table: String,
    queue: String,
    worker_function: String,
    worker_life: Duration,
    keeper_function: String,
    event_bus: String,
    task: Option<Task>,
    administrators: Administrators,
    policy: Policy,
    terms: Terms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoleName {
    Api,
    Collector,
    Keeper,
}

impl Setting {
    /// Reads it.
    ///
    /// # Errors
    /// Which variable is missing, or makes no sense.
    pub(crate) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Setting, String> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let needed = |name: &str| given(name).ok_or_else(|| format!("{name} is not set"));
        let role = match needed("LOADKIT_ROLE")?.as_str() {
            "api" => RoleName::Api,
            "collector" => RoleName::Collector,
            "keeper" => RoleName::Keeper,
            other => return Err(format!("LOADKIT_ROLE is {other:?}, and should be api, collector or keeper")),
        };
        // A collector starts nothing, so it is told nothing of that.
        let of_fleet = |name: &str| if role == RoleName::Collector { Ok(String::new()) } else { needed(name) };
        let seconds = given("LOADKIT_WORKER_SECONDS").unwrap_or_else(|| "900".into());
        let seconds = seconds.parse::<u64>().ok().filter(|seconds| (1..=900).contains(seconds));
        let seconds = seconds.ok_or("LOADKIT_WORKER_SECONDS is no time-out of a Lambda, 1 to 900")?;
        Ok(Setting {
            role,
            config: Config::read(variable).map_err(|error| error.to_string())?,
            table: needed("LOADKIT_TABLE")?,
            queue: of_fleet("LOADKIT_QUEUE")?,
            worker_function: of_fleet("LOADKIT_WORKER_FUNCTION")?,
            worker_life: Duration::from_secs(seconds),
            keeper_function: of_fleet("LOADKIT_KEEPER_FUNCTION")?,
            event_bus: given("LOADKIT_EVENT_BUS").unwrap_or_else(|| "default".into()),
            task: Task::read(variable)?,
            administrators: Administrators::parse(&given("LOADKIT_ADMINISTRATORS").unwrap_or_default())
                .map_err(|error| format!("LOADKIT_ADMINISTRATORS: {error}"))?,
            policy: policy(&given)?,
            terms: terms(&given)?,
        })
    }
}

/// The policy of the environment, or of the file beside the binary, or none: then only private targets are allowed.
fn policy(given: &dyn Fn(&str) -> Option<String>) -> Result<Policy, String> {
    if let Some(text) = given("LOADKIT_POLICY") {
        return Policy::parse(&text, "LOADKIT_POLICY").map_err(|error| error.to_string());
    }
    let file = given("LAMBDA_TASK_ROOT").map(|root| Path::new(&root).join(POLICY_FILE)).filter(|file| file.exists());
    file.map_or_else(|| Ok(Policy::default()), |file| Policy::load(file).map_err(|error| error.to_string()))
}

/// The usual terms, with what the environment says in their place. Each beat is three requests to the table.
fn terms(given: &dyn Fn(&str) -> Option<String>) -> Result<Terms, String> {
    let usual = Terms::default();
    let ms = |name: &str, usual: u64| match given(name) {
        None => Ok(usual),
        Some(text) => text
            .parse::<u64>()
            .ok()
            .filter(|ms| (100..=120_000).contains(ms))
            .ok_or_else(|| format!("{name} is {text:?}, and should be milliseconds from 100 to 120000")),
    };
    let beat_ms = ms("LOADKIT_BEAT_MS", usual.beat_ms)?;
    let lease_ms = ms("LOADKIT_LEASE_MS", usual.lease_ms)?;
    if lease_ms < beat_ms * 3 {
        return Err(
            "LOADKIT_LEASE_MS is less than three times LOADKIT_BEAT_MS: one lost beat would lose a worker".into()
        );
    }
    Ok(Terms { beat_ms, lease_ms, report_ms: ms("LOADKIT_REPORT_MS", usual.report_ms)?, ..usual })
}

/// What a function is made of.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) fleet: Fleet,
    pub(crate) role: Role,
}

impl Office {
    /// Opens the table.
    ///
    /// # Errors
    /// If it cannot be reached, or is of another version.
    pub(crate) async fn open(setting: &Setting) -> Result<Office, String> {
        let client = Client::new(setting.config.clone());
        let store = DynamoDb::open(client.clone(), &setting.table).await.map_err(|error| error.to_string())?;
        let line = WorkerLine::Aws { table: setting.table.clone(), queue: setting.queue.clone() };
        let _ = WORKER_LIFE.set(setting.worker_life);
        let settings = Settings { usual, terms: setting.terms, ..Settings::new(line) };
        let mut launchers: Vec<Arc<dyn Launcher>> = Vec::new();
        let (mut notifier, mut guard): (Arc<dyn Notifier>, Arc<dyn Guard>) = (Arc::new(Silent), Arc::new(Unguarded));
        if setting.role != RoleName::Collector {
            launchers.push(Arc::new(LambdaLauncher::new(client.clone(), &setting.worker_function)));
            if let Some(task) = &setting.task {
                launchers.push(Arc::new(FargateLauncher::new(client.clone(), task.clone())));
            }
            let events = EventBridge::new(client.clone(), &setting.event_bus);
            notifier = Arc::new(Waking::new(events, client.clone(), setting.keeper_function.clone()));
            guard = Arc::new(Guarded::new(setting.policy.clone(), settings.terms));
        }
        let (store, clock) = (Arc::new(store), Arc::new(client.clock()));
        let tokens = Tokens::new(store.clone(), clock.clone());
        let fleet = Fleet::new(store, launchers, notifier, guard, clock, settings);
        let role = match setting.role {
            RoleName::Collector => Role::Collector,
            RoleName::Keeper => Role::Keeper { client, own_name: setting.keeper_function.clone() },
            RoleName::Api => {
                let service = FleetService::new(fleet.clone(), setting.policy.clone());
                Role::Api(router(Arc::new(service), Access::Gateway(tokens, setting.administrators.clone())))
            }
        };
        Ok(Office { fleet, role })
    }
}

/// What is usual for a home; a Lambda lives as long as the worker function's time-out.
fn usual(home: Home) -> Usual {
    let usual = Usual::of(home);
    match (home, WORKER_LIFE.get()) {
        (Home::Lambda, Some(life)) => Usual { life: Some(*life), ..usual },
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Setting, String> {
        let known = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("LOADKIT_TABLE", "t"),
        ];
        let find = |name: &str| {
            variables.iter().chain(&known).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Setting::read(&find)
    }

    #[test]
    fn each_role_is_told_what_it_needs() {
        assert_eq!(read(&[("LOADKIT_ROLE", "collector")]).unwrap().role, RoleName::Collector);
        assert!(read(&[("LOADKIT_ROLE", "keeper")]).unwrap_err().contains("LOADKIT_QUEUE"));
        assert!(read(&[("LOADKIT_ROLE", "cook")]).unwrap_err().contains("cook"));
        assert!(read(&[]).unwrap_err().contains("LOADKIT_ROLE"));
        let names = ["LOADKIT_QUEUE", "LOADKIT_WORKER_FUNCTION", "LOADKIT_KEEPER_FUNCTION"].map(|name| (name, "x"));
        let with =
            |more: &[(&'static str, &'static str)]| read(&[&names[..], &[("LOADKIT_ROLE", "api")], more].concat());
        assert_eq!(with(&[]).unwrap().worker_life, Duration::from_secs(900));
        assert!(with(&[("LOADKIT_WORKER_SECONDS", "901")]).unwrap_err().contains("LOADKIT_WORKER_SECONDS"));
        assert!(with(&[("LOADKIT_POLICY", "[[rulez]]")]).unwrap_err().contains("LOADKIT_POLICY"));
        assert!(with(&[("LOADKIT_CLUSTER", "c")]).unwrap_err().contains("LOADKIT_TASK"));
        assert_eq!(with(&[("LOADKIT_BEAT_MS", "3000")]).unwrap().terms.beat_ms, 3_000);
        assert!(with(&[("LOADKIT_LEASE_MS", "3000")]).unwrap_err().contains("LOADKIT_LEASE_MS"));
        assert!(with(&[("LOADKIT_REPORT_MS", "often")]).unwrap_err().contains("LOADKIT_REPORT_MS"));
        assert!(with(&[("LOADKIT_ADMINISTRATORS", "*")]).unwrap_err().contains("LOADKIT_ADMINISTRATORS"));
        let policy = with(&[("LOADKIT_POLICY", "[[rules]]\nname = \"small\"\nplayers = 5\n")]).unwrap().policy;
        assert_eq!(policy.rules().collect::<Vec<_>>(), ["small"]);
    }
}
