//! The fleet's own Lambda functions, as `loadkit-fleet-lambda` is.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadkit_fleet_aws::main()
}
