#!/bin/sh
# Counts the changes of each tenant with kcat and awk, from the beginning of `users.events` to its end:
#   kcat.sh BROKERS [TOPIC-PREFIX]
# Prints for each tenant: TENANT accepted CREATED UPDATED DELETED
set -eu

kcat -C -b "$1" -t "${2:-}users.events" -o beginning -e -q -X isolation.level=read_committed -f '%k %h\n' |
    sed -nE 's/^([^ ]+) .*ce_type=user\.([a-z]+)\.v1(,.*)?$/\1 \2 &/p' |
    sed -nE 's/^([^ ]+ [a-z]+) .*ce_sequence=([0-9]+).*/\1 \2/p' |
    awk '
        version[$1] == -1 || $3 != version[$1] + 1 { next }   # superseded: no effect
        {
            version[$1] = $2 == "deleted" ? -1 : $3
            split($1, key, "/")
            count[key[1], $2]++
            tenants[key[1]]
        }
        END {
            for (t in tenants)
                print t, "accepted", count[t, "created"] + 0, count[t, "updated"] + 0, count[t, "deleted"] + 0
        }' | sort
