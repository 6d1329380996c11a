#!/usr/bin/env bash
# Checks licences, bans and origins of the dependencies against deny.toml, without cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo metadata --format-version 1 --locked --filter-platform x86_64-unknown-linux-gnu | python3 scripts/licences.py
