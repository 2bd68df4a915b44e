//! Workers as Lambda functions, invoked asynchronously: a job is the event.

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use loadkit_fleet::{Home, Launcher, Quotas};
use loadkit_http::Bytes;
use loadkit_worker::Job;
use serde_json::Value;

use crate::client::{Answer, Call, Client};
use crate::service;

/// Invocations under way.
const PARALLEL: usize = 16;
/// What a Lambda may open, less what it needs itself.
const DESCRIPTORS: u64 = 1_000;
/// A function grows by so many environments a second: a thousand every ten.
const STARTS_PER_S: f64 = 100.0;

/// Starts workers as invocations of one function.
#[derive(Clone, Debug)]
pub struct LambdaLauncher {
    client: Client,
    function: String,
}

impl LambdaLauncher {
    /// Of this function, by its name or ARN.
    pub fn new(client: Client, function: impl Into<String>) -> LambdaLauncher {
        LambdaLauncher { client, function: function.into() }
    }

    async fn invoke(&self, job: &Job) -> Result<String, String> {
        invoke(&self.client, &self.function, job.to_json()).await
    }
}

/// Invokes a function with an event, asynchronously; the request's id. It may be invoked twice.
///
/// # Errors
/// What was answered, in words.
pub async fn invoke(client: &Client, function: &str, event: impl Into<Bytes>) -> Result<String, String> {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let call = Call {
        service: &service::LAMBDA,
        action: "Invoke",
        method: "POST",
        path: &path,
        query: &[],
        headers: &[("content-type", "application/json"), ("x-amz-invocation-type", "Event")],
        body: event.into(),
    };
    match client.call(&call).await {
        Ok(answer) if answer.status == 202 => Ok(answer.request_id),
        Ok(Answer { status, .. }) => Err(format!("Lambda Invoke: HTTP {status} in place of 202")),
        Err(error) => Err(error.to_string()),
    }
}

#[async_trait]
impl Launcher for LambdaLauncher {
    fn home(&self) -> Home {
        Home::Lambda
    }

    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>> {
        let starts: Vec<_> = jobs.iter().map(|job| self.invoke(job)).collect();
        stream::iter(starts).buffered(PARALLEL).collect().await
    }

    async fn quotas(&self) -> Result<Quotas, String> {
        let unreserved = self.client.lambda_concurrency().await.map_err(|error| error.to_string())?;
        // What is reserved for the function is what it has. Who may not ask that has nothing reserved, most likely.
        let path = format!("/2019-09-30/functions/{}/concurrency", self.function);
        let own = self.client.lambda("GetFunctionConcurrency", &path).await.unwrap_or_default();
        let reserved = own.get("ReservedConcurrentExecutions").and_then(Value::as_u64);
        Ok(Quotas {
            workers: reserved.or(unreserved),
            starts_per_s: Some(STARTS_PER_S),
            descriptors: Some(DESCRIPTORS),
            names: vec![if reserved.is_some() {
                format!("Lambda: the reserved concurrency of {}", self.function)
            } else {
                "Lambda: Concurrent executions".into()
            }],
        })
    }

    async fn end(&self, _: &str) -> Result<(), String> {
        // An invocation cannot be ended from outside. It ends by itself: with its lease, or with its time.
        Ok(())
    }
}
