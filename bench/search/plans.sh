#!/bin/sh
# Shows that plans don't depend on the tables' contents or statistics: plans.sh DATABASE_URL. Run data.sql before.
# Prints the digests of the plans of the three statements in each state. They must not differ.
set -eu
url=$1 here=$(dirname "$0")
options="-csearch_path=plans -cjit=off -cplan_cache_mode=force_generic_plan -cenable_seqscan=off -cenable_bitmapscan=off -cenable_hashjoin=off -cenable_mergejoin=off"
sql() { psql -XAtq "$url" "$@"; }

digest() {
    {
        echo "PREPARE s(text, bigint[], timestamptz, uuid, int, jsonb, text, text, bigint, bigint) AS "
        sed 's/:tenant/$1/g; s/:terms/$2/g; s/:term/$10/g; s/:at/$3/g; s/:id/$4/g; s/:walk/$5/g; s/:claims/$6/g; s/:url/$7/g
            s/:subject/$8/g; s/:oversized/$9/g' "$1"
        echo "EXPLAIN (COSTS OFF) EXECUTE s('x', '{1,2}', '2026-01-01', '0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01', 10, '{}', '-', '-', 3, 3);"
    } | PGOPTIONS="$options" psql -XAtq -v ON_ERROR_STOP=1 "$url" | md5sum | cut -c1-8
}

state() { echo "$(digest "$here/postings_search.sql") $(digest "$here/postings_one_search.sql") $(digest "$here/no_terms_search.sql") $1"; }

build() { sql -v schema=plans -v loaded="$1" -v log=1 -v fillfactor=90 -f "$here/postings.sql" >/dev/null 2>&1; }

build 0; state "empty, never analyzed"
sql -c "ANALYZE plans.users; ANALYZE plans.postings"; state "empty, analyzed"
build "${2:-2000}"; state "loaded, never analyzed"
sql -c "VACUUM ANALYZE plans.users, plans.postings"; state "loaded, analyzed"
sql -c "DELETE FROM plans.users WHERE log_offset > 100"; state "nearly empty, stale statistics"
sql -c "VACUUM ANALYZE plans.users, plans.postings"; state "nearly empty, analyzed"
sql -c "DROP SCHEMA plans CASCADE" 2>/dev/null
