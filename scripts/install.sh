#!/usr/bin/env bash
# Installs missing packages that `make run` needs, with apt-get. With the argument `test`, also those that
# `make test` needs. No installed service is left running: rollcall starts its own PostgreSQL, Redis and
# Kafka.
set -euo pipefail

say() { printf 'install: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
any_file() { [ -e "$1" ]; } # the argument is a pattern: its first match, or the pattern itself

packages=()
want() { packages+=("$@"); }

has cargo && has rustc || fail "no Rust toolchain: install one from https://rustup.rs, then run this again"

any_file /usr/lib/postgresql/*/bin/initdb || has initdb || want postgresql
has redis-server || want redis-server
has java || want default-jre-headless
has mvn || want maven
has setpriv || want util-linux
has g++ || want g++
has make || want make
has pkg-config || want pkg-config
any_file /usr/include/openssl/ssl.h || want libssl-dev
any_file /usr/include/zlib.h || want zlib1g-dev
any_file /usr/include/zstd.h || want libzstd-dev
if [ "${1:-}" = test ]; then
    has node && has npm || want nodejs npm
    has nginx || [ -x /usr/sbin/nginx ] || want nginx-light
    has pgbouncer || [ -x /usr/sbin/pgbouncer ] || want pgbouncer
    has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || want python3-venv
    has javac || want default-jdk-headless
    has kcat || want kcat
    has chromium || has chromium-browser || has google-chrome || want chromium
fi

[ ${#packages[@]} -gt 0 ] || exit 0

has apt-get || fail "apt-get not found; install the equivalents of these Debian packages: ${packages[*]}"
if [ "$(id -u)" -eq 0 ]; then
    root=()
elif has sudo; then
    root=(sudo)
else
    fail "root or sudo is needed; ask an administrator to run: apt-get install ${packages[*]}"
fi

say "installing ${packages[*]}"

# Debian starts a service when it is installed, and creates a PostgreSQL cluster. This prevents both for
# this installation.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
if [ ! -e "$policy" ]; then
    trap '"${root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
fi
if [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e "$clusters" ]; then
    "${root[@]}" mkdir -p "${clusters%/*}"
    echo 'create_main_cluster = false' | "${root[@]}" tee "$clusters" >/dev/null
fi

export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get -qq update
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold install "${packages[@]}" >&2

# New services must not start with the machine either. Services that were installed before are not
# changed.
for service in redis-server nginx pgbouncer; do
    if [[ " ${packages[*]} " == *" $service"* ]] && has systemctl; then
        "${root[@]}" systemctl disable --quiet "$service" 2>/dev/null || true
    fi
done
say "done"
