//! stub
#![allow(missing_docs)]
use crate::seed::Seed; 
#[derive(Debug, Clone, Default)] pub struct Weights;
#[derive(Debug)] pub struct WeightsError;
impl std::fmt::Display for WeightsError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
impl Weights { pub fn len(&self) -> usize { 1 } pub fn weight(&self, _: usize) -> f64 { 1.0 } pub fn name(&self, _: usize) -> &str { "" } pub fn pick(&self, _: Seed, _: u64) -> usize { 0 } pub fn with(self, _: Vec<(&str, f64)>) -> Result<Weights, WeightsError> { Ok(self) } }
