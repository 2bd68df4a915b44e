//! The arena's command: `arena`, `arena server …`, `arena run …`.
fn main() {}
