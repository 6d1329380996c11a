#!/usr/bin/env bash
# Measures this tree against another revision, in one run and in turns: GET by id, and PUT until
# its effect is visible.
#
#   scripts/bench.sh       BASE=<revision> is the revision to compare with (by default the commit
#                          before HEAD); QUICK=1 gives a rough table
set -euo pipefail
cd "$(dirname "$0")/.."

base=$(git rev-parse --verify "${BASE:-HEAD~1}^{commit}")
tree=$PWD/target/bench/base
if [ "$(git -C "$tree" rev-parse HEAD 2>/dev/null)" != "$base" ]; then
    git worktree prune
    rm -rf "$tree"
    git worktree add --quiet --detach "$tree" "$base"
fi
echo "building ${base:0:12} and this tree"
(cd "$tree" && CARGO_TARGET_DIR=../base-target cargo build --quiet --release --locked --bin rollcall)
# The packages of `make build` and the benchmark, so that the dependencies' features are the same.
cargo build --quiet --release --locked -p rollcall -p command-service -p query-service -p projector -p bench
options=(--results bench/results)
if [ -n "${QUICK:-}" ]; then options+=(--users 5000 --seconds 3 --rounds 3); fi
exec target/release/bench --build "base=target/bench/base-target/release" --build "now=target/release" "${options[@]}"
