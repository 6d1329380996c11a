#!/bin/sh
# Measures structures for search: run.sh DATABASE_URL [USERS]. The database is a scratch one; the role is a superuser.
# Reads go to reads.csv, writes to writes.csv, sizes to sizes.txt, in the current directory.
set -eu
url=$1 users=${2:-1000000} here=$(dirname "$0")
sql() { while [ -e /tmp/quiet ]; do sleep 2; done; nice -n 10 psql -Xq "$url" -v users="$users" -v loaded="$users" "$@"; }

[ -n "${KEEP_DATA:-}" ] || sql -f "$here/data.sql"
for variant in ${VARIANTS:-gin gin_eager postings buckets}; do
    echo "$variant: built in" >>sizes.txt
    sql -v schema="$variant" -v log=1 -v fillfactor=90 -v fastupdate="$([ "$variant" = gin ] && echo on || echo off)" \
        -f "$here/${variant%%_*}.sql" >>sizes.txt
    sql -c "SELECT relname, pg_relation_size(oid) / (SELECT count(*) FROM bench.source) AS bytes_per_user FROM pg_class
        WHERE relnamespace = '$variant'::regnamespace AND relkind IN ('r', 'i') ORDER BY 1" >>sizes.txt
    # As after an import: no statistics, and no vacuum yet.
    "$here/measure.sh" "$url" "$variant" 'no statistics' >>reads.csv
    sql -c "ANALYZE $variant.users"
    TENANTS=big "$here/measure.sh" "$url" "$variant" rebuilt >>reads.csv
    [ "$variant" = buckets ] || sql -v schema="$variant" -f "$here/writes/${variant%%_*}_many.sql"
    [ "$variant" = buckets ] || TENANTS=big "$here/measure.sh" "$url" "$variant" '10 % updated' >>reads.csv
    [ "$variant" = buckets ] || "$here/writes.sh" "$url" "$variant" >>writes.csv
    sql -c 'VACUUM ANALYZE'
    TENANTS=big "$here/measure.sh" "$url" "$variant" quiet >>reads.csv
done
