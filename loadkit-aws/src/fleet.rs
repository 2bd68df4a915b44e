//! What the fleet itself asks of AWS: to start workers, and to tell others.

mod events;
mod fargate;
mod lambda;

pub use events::EventBridge;
pub use fargate::FargateLauncher;
pub use lambda::{LambdaLauncher, invoke};
