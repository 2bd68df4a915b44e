//! `Client -> DynamoDb: Store, Sqs: Outbox`: what the fleet asks of AWS, and nothing else.
//!
//! **No other crate knows AWS, and this one knows no AWS SDK**: some thirty calls, signed by hand ([SigV4]) over one small HTTP
//! client. So a bot author compiles little, and a worker is small and starts at once.
//!
//! Each call has time-outs, is repeated a bounded number of times where a repeat may help, and fails in AWS's own words
//! ([`AwsError`]). No secret is ever shown.
//!
//! [SigV4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod account;
mod calendar;
mod client;
mod clock;
mod config;
mod credentials;
mod deploy;
mod dynamo;
mod error;
#[cfg(feature = "fleet")]
mod fleet;
mod line;
mod pace;
mod random;
mod service;
mod sign;
mod sqs;
mod tasks;

pub use account::{FARGATE_VCPUS, Identity, LAMBDA_CONCURRENCY};
pub use client::{Answer, Call, Client};
pub use clock::AwsClock;
pub use config::{Config, ConfigError, Endpoints, Tries};
pub use credentials::{Credentials, Source};
pub use deploy::{FunctionCode, Images};
pub use dynamo::DynamoDb;
pub use error::AwsError;
#[cfg(feature = "fleet")]
pub use fleet::{EventBridge, FargateLauncher, LambdaLauncher, invoke};
pub use line::{AwsLine, line};
pub use service::{DYNAMODB, ECR, ECS, EVENTBRIDGE, EXECUTE_API, LAMBDA, SERVICE_QUOTAS, SQS, STS, Service};
pub use sign::query;
pub use sqs::Sqs;
pub use tasks::{Network, Task, Tasks};
