//! stub
mod duration;
pub use duration::{DurationError, format_duration, parse_duration};
