#!/usr/bin/env bash
# Installs the pinned tools of the tests into the directory $1: node/, python/, java/ and consumer/, the
# Java consumer of docs/consumers. Does nothing if they are there.
set -euo pipefail
tools=$1
here=$(cd "$(dirname "$0")" && pwd)
consumers=$here/../../docs/consumers
requirements=("$here/requirements.txt" "$consumers/python/requirements.txt")
inputs=("$here"/{package.json,package-lock.json,pom.xml,install.sh} "${requirements[@]}")
stamp=$(find "$consumers/java" -type f | sort | xargs cat "${inputs[@]}" | sha256sum)

mkdir -p "$tools"
exec 9>"$tools/lock"
flock 9
[ "$(cat "$tools/stamp" 2>/dev/null || true)" != "$stamp" ] || exit 0
rm -rf "$tools"/{stamp,node,python,java,consumer}

node() {
    mkdir "$tools/node"
    cp "$here/package.json" "$here/package-lock.json" "$tools/node/"
    npm ci --prefix "$tools/node" --ignore-scripts --no-audit --no-fund --loglevel=error
}

# Most of the packages' modules are never imported, so none is compiled in advance.
python() {
    python3 -m venv "$tools/python"
    local pip="$tools/python/bin/pip --disable-pip-version-check"
    $pip install --quiet --no-deps --no-compile "${requirements[@]/#/--requirement=}"
    $pip check
}

java() {
    mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DexcludeTransitive -DoutputDirectory="$tools/java"
    cp -r "$consumers/java" "$tools/consumer"
    (cd "$tools/consumer" && mvn -B -q compile dependency:copy-dependencies -DoutputDirectory=target/libs)
}

installers=()
for installer in node python java; do
    "$installer" >&2 &
    installers+=($!)
done
for installer in "${installers[@]}"; do wait "$installer"; done
echo "$stamp" >"$tools/stamp"
