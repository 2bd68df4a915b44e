//! Brings the chart library of the dashboard out of the crate that carries it.
//!
//! Nothing of that crate is in what is built: only the file.

#![allow(clippy::expect_used, reason = "a build that cannot go on fails")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "web")]
    {
        let folder = std::env::var_os("OUT_DIR").expect("cargo says where to write");
        let file = std::path::Path::new(&folder).join("chart.js");
        std::fs::write(file, rustlavel_chart::plugin::CHART_JS).expect("the folder can be written");
    }
}
