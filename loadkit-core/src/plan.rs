//! stub
#![allow(missing_docs)]
mod duration;
pub use duration::{DurationError, format_duration, parse_duration};
use crate::shape::{Shape, Stage};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
#[derive(Clone, Debug)]
pub struct Plan { pub s: Shape, pub party: u64, pub grace: Duration, pub refill: Option<Duration>, pub w: BTreeMap<String, u32> , pub d: BTreeMap<String, PathBuf>}
impl Plan {
    pub fn stub(stages: Vec<Stage>, total: Option<u64>) -> Plan { Plan { s: Shape::new(stages, total).unwrap(), party: 1, grace: Duration::from_secs(10), refill: Some(Duration::from_secs(1)), w: BTreeMap::new(), d: BTreeMap::new() } }
    pub fn shape(&self) -> &Shape { &self.s }
    pub fn party(&self) -> u64 { self.party }
    pub fn grace(&self) -> Duration { self.grace }
    pub fn refill(&self) -> Option<Duration> { self.refill }
    pub fn interval(&self) -> Duration { Duration::from_secs(1) }
    pub fn accounts(&self) -> Option<&Path> { None }
    pub fn data(&self) -> &BTreeMap<String, PathBuf> { &self.d }
    pub fn personas(&self) -> &BTreeMap<String, u32> { &self.w }
}
