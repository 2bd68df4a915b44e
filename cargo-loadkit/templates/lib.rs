//! Players of {{name}}, and a stub of its server to try them on.

mod bot;
pub mod stub;
pub mod wire;

pub use bot::{{scenario}};
