#!/usr/bin/env bash
# Generates the client of language $1 from the OpenAPI document $2 into the new directory $3, with the tools in $4, and
# goes through every operation with it. Reads ROLLCALL_URL, TOKEN, USERS, HOLDER and CREDENTIALS.
set -euo pipefail
language=$1 document=$2 work=$3 tools=$4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"

typescript() {
    local bin=$tools/node/node_modules/.bin
    cp "$here"/typescript/* "$work/"
    ln -s "$tools/node/node_modules" "$work/node_modules"
    cp "$tools/node/package.json" "$work/"
    "$bin/openapi-typescript" "$document" -o "$work/schema.d.ts"
    "$bin/tsc" -p "$work"
    node "$work/out/client.js"
}

python() {
    printf 'package_name_override: rollcall_client\npost_hooks: []\n' >"$work/config.yml"
    "$tools/python/bin/openapi-python-client" generate --path "$document" --output-path "$work/rollcall_client" \
        --meta none --config "$work/config.yml" --fail-on-warning
    PYTHONPATH=$work "$tools/python/bin/python" "$here/python/client.py"
}

java_() {
    java -jar "$tools"/java/openapi-generator-cli-*.jar generate -g java --library native -i "$document" -o "$work/gen" \
        --global-property apiTests=false,modelTests=false,apiDocs=false,modelDocs=false \
        --additional-properties=openApiNullable=false,useJakartaEe=true \
        --additional-properties=invokerPackage=rollcall,apiPackage=rollcall.api,modelPackage=rollcall.model
    javac -nowarn -proc:none -d "$work/out" -cp "$tools/java/*" -sourcepath "$work/gen/src/main/java" "$here/java/Client.java"
    java -cp "$work/out:$tools/java/*" Client
}

case $language in
    java) java_ ;;
    *) "$language" ;;
esac
