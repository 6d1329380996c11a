#!/usr/bin/env bash
# Removes what was built and the data of the local default, wherever its PostgreSQL cluster is.
set -euo pipefail
cd "$(dirname "$0")/.."

home=.rollcall
if [ -e "$home/lock" ] && ! flock --nonblock "$home/lock" true; then
    echo "clean: rollcall is running (process $(cat "$home/lock")); stop it first" >&2
    exit 1
fi
if [ -L "$home/postgres" ]; then
    rm -rf -- "$(readlink -f "$home/postgres")"
fi
rm -rf -- "$home" target
