//! `cargo xtask bench [NAME…]`: the figures of speed that we claim, one JSON line each.
//!
//! Each stands beside a baseline measured in the same run where there can be one, because machines are noisy.

mod codecs;
mod conditions;
mod fleet;
mod gate;
mod metrics;
mod round_trip;
mod spawn;
mod transports;
mod truth;

use std::process::ExitCode;

fn main() -> ExitCode {
    loadkit_tests::bench::main(&[
        ("bits", &codecs::bits),
        ("record", &metrics::record),
        ("spawn", &spawn::spawn),
        ("round_trip", &round_trip::round_trip),
        ("flight", &round_trip::flight),
        ("conditions", &conditions::conditions),
        ("transports", &transports::transports),
        ("truth", &truth::truth),
        ("gate", &gate::gate),
        ("fleet", &fleet::million),
        ("collector", &fleet::collector),
    ])
}
