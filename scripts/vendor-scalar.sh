#!/usr/bin/env bash
# Fetches the viewer of the API reference from npm into query-service/vendor/scalar. With `--check`,
# compares the committed copy with the recorded digest instead, without network.
# To update: change the three values, run this, look at /docs, and commit.
set -euo pipefail
cd "$(dirname "$0")/../query-service/vendor/scalar"

version=1.76.0
# Of the package, as the registry states it.
integrity=sha512-pjqwnzmA9YK3ZX+IZSICMsywm4qI6HLSngR2py9H6TvFApHHuJjkTAd+gFJfnqJDzJuro8k7ji6JCtJ2U+Byng==
# Of the file that is served, before compression.
digest=dcb027152bf20bf2f6dcd66e8f9fb073c1a9e274cf0b94b939a7d99ab8947060

fail() { echo "vendor-scalar: $*" >&2; exit 1; }
is_recorded() { [ "$(sha256sum | cut -d' ' -f1)" = "$digest" ]; }

if [ "${1:-}" = --check ]; then
    gzip -dc standalone.js.gz | is_recorded || fail "standalone.js.gz is not that of version $version"
    exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
package=$scratch/$(npm pack --silent --ignore-scripts --pack-destination "$scratch" "@scalar/api-reference@$version")
[ "sha512-$(openssl dgst -sha512 -binary "$package" | base64 -w0)" = "$integrity" ] || fail "the package is not the pinned one"
tar -xzf "$package" -C "$scratch" package/dist/browser/standalone.js
is_recorded < "$scratch/package/dist/browser/standalone.js" || fail "the file is not the recorded one"
gzip -9nc "$scratch/package/dist/browser/standalone.js" > standalone.js.gz
