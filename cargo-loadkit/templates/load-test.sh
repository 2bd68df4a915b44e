#!/bin/sh
# A load test in CI, as one step of any pipeline: `sh {{folder}}/ci/load-test.sh`. Keep the folders `{{folder}}/report` and
# `{{folder}}/loadkit-baseline`: the first run becomes the baseline of the next. How long and how many is in loadkit.toml.
# Its exit code: 0 passed, 1 a regression or a threshold missed, 2 wrong use, 3 the figures say nothing, 4 something is missing.
set -eu
cd "$(dirname "$0")/.."
cargo test
exec cargo loadkit ci --profile ci --no-package --set build="${BUILD_NUMBER:-${GITHUB_SHA:-local}}" "$@"
