//! Workers as processes of the fleet's own machine: the client's binary with a job in its environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use loadkit_worker::Job;
use tokio::process::{Child, Command};

use crate::launcher::{Home, Launcher, Quotas};

/// The variable that holds a job.
pub const JOB_VARIABLE: &str = "LOADKIT_JOB";

/// Starts the client's binary.
#[derive(Clone, Debug)]
pub struct LocalLauncher {
    client: PathBuf,
    most: usize,
    children: Arc<Mutex<BTreeMap<u32, Child>>>,
}

impl LocalLauncher {
    /// Of this binary, at most so many at a time.
    pub fn new(client: impl Into<PathBuf>, most: usize) -> LocalLauncher {
        LocalLauncher { client: client.into(), most, children: Arc::default() }
    }

    /// The binary.
    pub fn client(&self) -> &Path {
        &self.client
    }

    /// The ids of those that live.
    pub fn alive(&self) -> Vec<u32> {
        self.reap().keys().copied().collect()
    }

    fn reap(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Child>> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain(|_, child| matches!(child.try_wait(), Ok(None)));
        children
    }

    fn start_one(&self, job: &Job) -> Result<String, String> {
        let mut children = self.reap();
        if children.len() >= self.most {
            return Err(format!("{} workers are at work on this machine, which is the most", children.len()));
        }
        let mut command = Command::new(&self.client);
        // Ctrl-C is for the fleet: whether its workers stop is its own matter.
        #[cfg(unix)]
        command.process_group(0);
        let child = command
            .env(JOB_VARIABLE, job.to_json())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.client.display()))?;
        let id = child.id().ok_or("it ended at once")?;
        children.insert(id, child);
        Ok(id.to_string())
    }
}

#[async_trait]
impl Launcher for LocalLauncher {
    fn home(&self) -> Home {
        Home::Local
    }

    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>> {
        jobs.iter().map(|job| self.start_one(job)).collect()
    }

    async fn quotas(&self) -> Result<Quotas, String> {
        let left = self.most.saturating_sub(self.reap().len());
        Ok(Quotas { workers: Some(left as u64), ..Quotas::default() })
    }

    async fn end(&self, name: &str) -> Result<(), String> {
        let id: u32 = name.parse().map_err(|_| format!("{name:?} is no process of this fleet"))?;
        match self.reap().get_mut(&id) {
            Some(child) => child.start_kill().map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}
