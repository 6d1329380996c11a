#!/usr/bin/env bash
# Measures this tree beside its twins, beside what its servers can do alone, and beside another
# revision, in alternating rounds of one run. docs/performance.md explains the table.
#
#   scripts/bench.sh       BASE=<revision> is the revision to compare with (default: the commit
#                          before HEAD); QUICK=1 measures less precisely and without another revision,
#                          unless BASE is given
set -euo pipefail
cd "$(dirname "$0")/.."

# What is shipped is measured. Earlier revisions lack the profile.
build() {
    cargo build --quiet --locked --profile dist --config 'profile.dist.inherits="release"' \
        --config 'profile.dist.lto="fat"' --config 'profile.dist.codegen-units=1' \
        --config 'profile.dist.incremental=false' "$@"
}

echo "building this tree"
build -p rollcall -p bench
builds=(--build "now=target/dist")

if [ -z "${QUICK:-}" ] || [ -n "${BASE:-}" ]; then
    base=$(git rev-parse --verify "${BASE:-HEAD~1}^{commit}")
    tree=$PWD/target/bench/base
    if [ "$(git -C "$tree" rev-parse HEAD 2>/dev/null)" != "$base" ]; then
        git worktree prune
        rm -rf "$tree"
        git worktree add --quiet --detach "$tree" "$base"
    fi
    echo "building ${base:0:12}"
    (cd "$tree" && CARGO_TARGET_DIR=../base-target build -p rollcall)
    builds+=(--build "base=target/bench/base-target/dist")
fi

options=(--results bench/results)
if [ -n "${QUICK:-}" ]; then options+=(--users 5000 --search-users 20000 --rebuild-users 5000 --seconds 1 --rounds 2 --warm-up 10); fi
exec target/dist/bench "${builds[@]}" "${options[@]}"
