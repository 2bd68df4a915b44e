#!/bin/sh
# A load test in CI, as one step of any pipeline: `sh {{folder}}/ci/load-test.sh`. Keep the folder `{{folder}}/report`.
# Its exit code: 0 passed, 1 a threshold was missed, 2 wrong use, 3 the machine was too busy for the figures to be true.
set -eu
cd "$(dirname "$0")/.."
cargo test
cargo build --release --bins --message-format short

# The server under test. Put yours in place of the stub.
bin="${CARGO_TARGET_DIR:-$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')}/release"
log=$(mktemp)
"$bin/{{name}}-server" > "$log" & server=$!
trap 'kill $server; rm "$log"' EXIT
until grep -q "listens on" "$log"; do kill -0 $server; sleep 0.1; done

"$bin/{{name}}" run plan.toml --build "${BUILD_NUMBER:-${GITHUB_SHA:-local}}" --duration "${DURATION:-30s}"
