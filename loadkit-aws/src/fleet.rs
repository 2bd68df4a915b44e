//! What the fleet itself asks of AWS: to start workers, and to tell others.

mod events;
mod fargate;
mod lambda;
mod pace;

pub use events::EventBridge;
pub use fargate::{FargateLauncher, Network, Task};
pub use lambda::LambdaLauncher;
