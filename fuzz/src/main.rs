//! libFuzzer around one target: `LOADKIT_FUZZ_TARGET=rudp_server fuzz [OPTIONS] [CORPUS or FILE...]`.
//!
//! `LOADKIT_FUZZ_TARGET=list` prints the names of all targets. `cargo xtask fuzz` builds and runs this.
#![no_main]

use std::alloc::System;
use std::env;
use std::process;
use std::sync::OnceLock;

use cap::Cap;
use libfuzzer_sys::fuzz_target;
use loadkit_fuzz::{TARGETS, Target, target};

/// The heap that an input may take: inputs have a few KiB, and no bound of ours is larger than a few MiB. libFuzzer's
/// own memory is not in it.
const HEAP: usize = 64 << 20;

/// An allocation beyond the limit fails, which ends the process: a finding, at the line that wanted so much.
#[global_allocator]
static HEAP_OF_AN_INPUT: Cap<System> = Cap::new(System, HEAP);

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target(bytes);
    }
});

fn choose() {
    let name = env::var("LOADKIT_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        TARGETS.iter().for_each(|(name, _)| println!("{name}"));
        process::exit(0);
    }
    let Some(target) = target(&name) else {
        eprintln!("LOADKIT_FUZZ_TARGET names no target: `{name}`; `list` prints those that there are");
        process::exit(2);
    };
    CHOSEN.get_or_init(|| target);
}
