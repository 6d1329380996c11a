#!/usr/bin/env bash
# Installs the pinned tools of the contract tests into the directory $1: node/, python/ and java/.
# Does nothing if they are there.
set -euo pipefail
tools=$1
here=$(cd "$(dirname "$0")" && pwd)
inputs=("$here/package.json" "$here/package-lock.json" "$here/requirements.txt" "$here/pom.xml" "$here/install.sh")
stamp=$(cat "${inputs[@]}" | sha256sum)

mkdir -p "$tools"
exec 9>"$tools/lock"
flock 9
[ "$(cat "$tools/stamp" 2>/dev/null || true)" != "$stamp" ] || exit 0
rm -rf "$tools"/{stamp,node,python,java}

mkdir "$tools/node"
cp "$here/package.json" "$here/package-lock.json" "$tools/node/"
npm ci --prefix "$tools/node" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
python3 -m venv "$tools/python"
"$tools/python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt" >&2
mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DexcludeTransitive -DoutputDirectory="$tools/java" >&2
echo "$stamp" >"$tools/stamp"
