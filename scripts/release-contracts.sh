#!/usr/bin/env bash
# Makes the present contracts those of the last release, with which later changes are compared.
set -euo pipefail
cd "$(dirname "$0")/.."

released=tests/contracts/released
rm -rf "$released"
mkdir -p "$released"
cp query-service/src/contract/openapi.json "$released/"
cp -r events-schema/schemas "$released/schemas"
