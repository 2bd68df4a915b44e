//! stub
#![allow(missing_docs)]
use std::time::Duration;
pub struct Think(Duration);
impl Think { pub fn sample(&self, _: &mut impl rand::Rng) -> Duration { self.0 } }
impl From<Duration> for Think { fn from(d: Duration) -> Think { Think(d) } }
