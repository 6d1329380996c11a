#!/usr/bin/env bash
# Holds the dependencies to deny.toml: by cargo-deny where it is installed, else by what can be seen without it.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v cargo-deny >/dev/null 2>&1; then
    exec cargo deny --locked check
fi
echo "deny: cargo-deny is not installed: licences, bans and origins are checked by scripts/licences.py, known vulnerabilities are NOT" >&2
echo "deny: for those, once: cargo install --locked cargo-deny" >&2
exec scripts/licences.sh
