#!/usr/bin/env bash
# Checks the dependencies against deny.toml: with cargo-deny if it is installed, else with
# scripts/licences.py, which does not know of vulnerabilities.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v cargo-deny >/dev/null 2>&1; then
    exec cargo deny --locked check
fi
echo "deny: cargo-deny is not installed: licences, bans and origins are checked by scripts/licences.py, known vulnerabilities are NOT" >&2
echo "deny: to check those too, run once: cargo install --locked cargo-deny" >&2
exec scripts/licences.sh
