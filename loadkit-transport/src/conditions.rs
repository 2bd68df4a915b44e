//! `Link + Profile -> worse Link`: a bad network between a bot and its server, from a seed.
//!
//! A [`Path`] is one way of it, without I/O; [`Conditioned`] puts two of them before a link.
//!
//! Bots need none of this: a [`Dial`](crate::Dial) conditions its connection as the plan says for its bot.

mod link;
mod path;
mod report;

pub use link::Conditioned;
pub use path::{Counts, Path};

#[cfg(test)]
mod tests;
