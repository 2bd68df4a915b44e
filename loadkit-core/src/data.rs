//! stub
#![allow(missing_docs)]
use std::path::Path; use std::sync::Arc;
#[derive(Debug)] pub struct Table; 
pub struct Row<'a>(#[allow(dead_code)] &'a str);
#[derive(Debug)] pub struct DataError;
impl std::fmt::Display for DataError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
impl Table { pub fn load(_: &Path) -> Result<Arc<Table>, DataError> { Err(DataError) } pub fn row(&self, _: usize) -> Option<Row<'_>> { None } pub fn require(&self, _: u64, _: &str) -> Result<(), DataError> { Ok(()) } }
impl<'a> Row<'a> { pub fn get(&self, _: &str) -> Option<&'a str> { None } pub fn first(&self) -> Option<&'a str> { None } }


pub(crate) fn is_supported(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "csv" || e == "jsonl")
}
