//! `LOADKIT_ROLE=api | collector | keeper`: one of the fleet's own Lambda functions.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadkit_fleet_aws::main()
}
