#!/bin/sh
# Measures writes on one variant: writes.sh DATABASE_URL SCHEMA
# A line: schema, write, runs, p50, mean and p99 in milliseconds, WAL bytes for each. Commits don't wait for the disk.
set -eu
url=$1 schema=$2 here=$(dirname "$0") tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ask() { psql -XAtq "$url" -c "$1"; }
users=$(ask "SELECT max(rank) FROM bench.source")
variant=${schema%%_*}
for write in create delete update; do
    while [ -e /tmp/quiet ]; do sleep 2; done
    ask "ALTER SEQUENCE bench.turn RESTART"
    before=$(ask "SELECT pg_current_wal_insert_lsn()")
    PGOPTIONS="-csearch_path=$schema -cjit=off -csynchronous_commit=off -cplan_cache_mode=force_generic_plan -cenable_seqscan=off -cenable_hashjoin=off -cenable_mergejoin=off" \
        nice -n 10 pgbench -n -M prepared -c 1 -t "${RUNS:-10000}" -l --log-prefix="$tmp/$write" -Dusers="$users" \
        -f "$here/writes/${variant}_$write.sql" "$url" >"$tmp/out" 2>&1 || cat "$tmp/out" >&2
    wal=$(ask "SELECT pg_current_wal_insert_lsn() - '$before'::pg_lsn")
    cat "$tmp/$write".* | awk -v wal="$wal" -v name="$schema,$write" '{ print $3 / 1000 }' | sort -n |
        awk -v wal="$wal" -v name="$schema,$write" '{ v[NR] = $1; sum += $1 } END { printf "%s,%d,%.3f,%.3f,%.3f,%d\n", name, NR, v[int(NR / 2) + 1], sum / NR, v[int(NR * .99)], wal / NR }'
done
