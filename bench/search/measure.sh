#!/bin/sh
# Measures every shape on one variant: measure.sh DATABASE_URL SCHEMA STATE >> results.csv
# A line: schema, state, tenant, shape, page, runs, p50 and p99 in milliseconds, digest of the plan.
set -eu
url=$1 schema=$2 state=$3
here=$(dirname "$0") seconds=${SECONDS_EACH:-1} tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
case $schema in
    gin*) statement=$here/gin_search.sql mode=extended planner='' ;;
    buckets*) statement=$here/buckets_search.sql mode=prepared planner="-cplan_cache_mode=force_generic_plan" ;;
    *) statement=$here/postings_search.sql mode=prepared
       planner="-cplan_cache_mode=force_generic_plan -cenable_seqscan=off -cenable_bitmapscan=off -cenable_hashjoin=off -cenable_mergejoin=off" ;;
esac
options="-csearch_path=$schema -cjit=off -cstatement_timeout=10s"
ask() { psql -XAtqF'|' "$url" "$@"; }

# latencies FILE MODE PLANNER: p50 and p99 of a statement with the variables of $@
latencies() {
    file=$1 mode_=$2 planner_=$3; shift 3
    while [ -e /tmp/quiet ]; do sleep 2; done
    rm -f "$tmp"/log*
    PGOPTIONS="$options $planner_" nice -n 10 pgbench -n -M "$mode_" -c 1 -T "$seconds" -l --log-prefix="$tmp/log" -f "$file" "$@" "$url" \
        >"$tmp/out" 2>&1 || { grep -m1 ERROR "$tmp/out" >&2 || true; }
    cat "$tmp"/log* 2>/dev/null | awk '{ print $3 }' | sort -n | awk '{ v[NR] = $1 / 1000 }
        END { if (NR == 0) print "0,,"; else printf "%d,%.2f,%.2f", NR, v[int((NR - 1) * .5) + 1], v[int((NR - 1) * .99) + 1] }'
}

# explain FILE: digest of the plan
explain() {
    [ "$mode" = prepared ] || { echo -; return; }
    PGOPTIONS="$options $planner" psql -XAtq "$url" -f - <<SQL >"$tmp/plan"
PREPARE s(text, bigint[], timestamptz, uuid, int, jsonb, text, text, bigint, bigint, int) AS $(
    sed 's/:tenant/$1/g; s/:terms/$2/g; s/:term/$10/g; s/:at/$3/g; s/:id/$4/g; s/:walk/$5/g; s/:claims/$6/g; s/:url/$7/g; s/:subject/$8/g
        s/:oversized/$9/g; s/:buckets/$5/g; s/:first_bucket/$11/g' "$1")
EXPLAIN (COSTS OFF) EXECUTE s('x', '{1,2}', '2026-01-01', '0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01', 10, '{}', '', '', 3, 3, 0);
SQL
    md5sum <"$tmp/plan" | cut -c1-8
}

for tenant in ${TENANTS:-big small}; do
    for page in ${PAGES:-first deep}; do
        page_first=0
        if [ $page = first ]; then at=-infinity id=00000000-0000-0000-0000-000000000000; else
            half=$(ask -c "SELECT created_at, id, rank FROM bench.source WHERE tenant_id = '$tenant' AND rank = (SELECT max(rank) / 2 FROM bench.source WHERE tenant_id = '$tenant')")
            at=${half%%|*} id=${half#*|}; page_first=${id#*|} id=${id%|*}; fi
        for turn in 1 2; do
            echo "$schema,$state,$tenant,list,$page,$(latencies "$here/list.sql" prepared "" -Dtenant="$tenant" -Dat="$at" -Did="$id"),-"
        done
        ask -c "SELECT shape, claims, coalesce(provider_url, '-'), coalesce(subject_id, '-'),
                bench.terms('$tenant', claims, provider_id::text, provider_url, subject_id) FROM bench.shapes WHERE shape <> 'all' ORDER BY nth" |
        while IFS='|' read -r shape claims link subject terms; do
            file=$statement
            if [ "$mode" = extended ]; then
                condition=""
                [ "$link" = - ] || condition="AND md5(provider_url) = md5('$link') AND provider_url = '$link'"
                [ "$subject" = - ] || condition="AND md5(subject_id) = md5('$subject') AND subject_id = '$subject'"
                file=$tmp/gin.sql
                sed "s|:link|$condition|" "$statement" >"$file"
            elif [ "$terms" = '{}' ]; then file=$here/no_terms_search.sql
            elif [ "${schema%%_*}" = postings ] && [ "${terms#*,}" = "$terms" ]; then file=$here/postings_one_search.sql; fi
            term=${terms#?} term=${term%?}
            echo "$schema,$state,$tenant,$shape,$page,$(latencies "$file" "$mode" "$planner" -Dtenant="$tenant" -Dat="$at" -Did="$id" \
                -Dclaims="$claims" -Dterms="$terms" -Dterm="${term:-0}" -Durl="$link" -Dsubject="$subject" -Dwalk="${WALK:-200}" -Doversized=1 -Dbuckets="${BUCKETS:-64}" -Dfirst_bucket="$((page_first / 1024))"),$(explain "$file")"
        done
    done
done
