#!/usr/bin/env bash
# Removes build results and the data of `make run`, wherever `rollcall run` has put its PostgreSQL cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

home=.rollcall
if [ -e "$home/lock" ] && ! flock --nonblock "$home/lock" true; then
    echo "clean: rollcall is running (process $(cat "$home/lock")); stop it first" >&2
    exit 1
fi
if [ -L "$home/postgres" ]; then
    place=$(readlink -f "$home/postgres" || true)
    case $place in
        # The only place outside of the home where `rollcall run` puts a cluster.
        /var/lib/rollcall/?*) rm -rf -- "$place" ;;
        *) echo "clean: $home/postgres is a link to ${place:-nowhere}, which rollcall did not create: not removed" >&2 ;;
    esac
fi
rm -rf -- "$home" target
