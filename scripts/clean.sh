#!/usr/bin/env bash
# Removes what was built and the data of the local default, wherever `rollcall run` has put its PostgreSQL cluster.
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
        # The only place where `rollcall run` puts a cluster outside of the home.
        /var/lib/rollcall/?*) rm -rf -- "$place" ;;
        *) echo "clean: $home/postgres is a link to ${place:-nowhere}, which rollcall did not make: left as it is" >&2 ;;
    esac
fi
rm -rf -- "$home" target
