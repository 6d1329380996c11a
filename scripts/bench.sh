#!/usr/bin/env bash
# Compares this tree with another revision, in alternating rounds of one run: GET by id, and PUT until
# its effect is visible.
#
#   scripts/bench.sh       BASE=<revision> is the revision to compare with (default: the commit
#                          before HEAD); QUICK=1 measures less precisely
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
# The same packages as `make build`, and the benchmark, so that dependencies have the same features.
cargo build --quiet --release --locked -p rollcall -p command-service -p query-service -p projector -p bench
options=(--results bench/results)
if [ -n "${QUICK:-}" ]; then options+=(--users 5000 --seconds 3 --rounds 3); fi
exec target/release/bench --build "base=target/bench/base-target/release" --build "now=target/release" "${options[@]}"
