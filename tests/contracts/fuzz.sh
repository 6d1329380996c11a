#!/usr/bin/env bash
# Sends requests that schemathesis makes of the served OpenAPI document: $1 random ones for each
# operation, beside those that the document leads to by itself, beginning at the seed $2.
# Without ROLLCALL_URL and TOKEN, the service of `make run` in this directory is called.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/target/contracts
tests/contracts/install.sh "$tools"
rollcall=target/release/rollcall
url=${ROLLCALL_URL:-$($rollcall env | sed -n 's/^ROLLCALL_URL=//p')}
token=${TOKEN:-$($rollcall token --tenant fuzz)}
# The position that schemathesis.toml names must exist.
curl -fsS -o /dev/null -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{}' "$url/core/v1/users"

config=$PWD/tests/contracts/schemathesis.toml
mkdir -p target/fuzz
cd target/fuzz
exec "$tools/python/bin/schemathesis" --config-file "$config" run "$url/openapi.json" --header "Authorization: Bearer $token" \
    --phases coverage,fuzzing --max-examples "$1" --seed "$2" --no-shrink --continue-on-failure
