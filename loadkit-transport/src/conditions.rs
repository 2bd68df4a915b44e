//! `Link + Profile -> worse Link`: a bad network between a bot and its server, from a seed.
//!
//! A [`Path`] is one way of it, without I/O.

mod path;

pub use path::{Counts, Path};
