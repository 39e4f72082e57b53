#!/usr/bin/env bash
# Makes trace.svg from a real run: the example `recorded`, whose trace the benches draw.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cargo run --example recorded -- target/recorded.json
cargo run -p rt-tasks-benches -- timeline target/recorded.json docs/src/images/trace.svg
