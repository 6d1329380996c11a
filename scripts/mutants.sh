#!/usr/bin/env bash
# Shows that the checks of the chaos run and of erasure can fail. Each tests/mutants/NAME.patch injects a
# small fault into a copy of the tree; then the check that must fail is run. The first line of a patch names
# it: a check of the chaos run, or `test` and the name of a test, followed by `with` and words that its
# output must contain.
#
#   scripts/mutants.sh [NAME…]      SEEDS="1 2 3" and FAULTS=16 limit the chaos runs
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/mutants
seeds=${SEEDS:-1 2 3}
faults=${FAULTS:-16}
export CARGO_TARGET_DIR=$home/target

# Reuses the dependencies that are already built.
if [ ! -d "$CARGO_TARGET_DIR" ] && [ -d target/debug ]; then
    mkdir -p "$CARGO_TARGET_DIR"
    cp --archive target/debug "$CARGO_TARGET_DIR/"
fi

# Copies only changed files, so that the rest is not rebuilt.
copy_tree() {
    rm -rf "$home/new"
    mkdir -p "$home/new" "$home/src"
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done | tar --create --null --files-from=- | tar --extract --touch --directory "$home/new"
    (cd "$home/src" && find . -type f) | while IFS= read -r file; do
        if [ ! -e "$home/new/$file" ]; then rm "$home/src/$file"; fi
    done
    (cd "$home/new" && find . -type f) | while IFS= read -r file; do
        if ! cmp --silent "$home/new/$file" "$home/src/$file"; then
            mkdir -p "$(dirname "$home/src/$file")"
            cp "$home/new/$file" "$home/src/$file"
        fi
    done
    rm -rf "$home/new"
}

# Whether a test fails with these words in its output.
fails() {
    local test=${1%% with *} words=${1#* with } log=$2
    (cd "$home/src" && cargo test --locked --quiet --workspace --features failpoints --test suite -- "$test") >"$log" 2>&1 || true
    rm -rf "$CARGO_TARGET_DIR"/tmp/run-*
    if grep --quiet "FAILED" "$log" && grep --quiet --fixed-strings -- "$words" "$log"; then
        echo "PASS  $name: $test fails: $words"
        return 0
    fi
    return 1
}

# Whether the check fails with one of the seeds.
goes_red() {
    local check=$1 log=$2 seed
    for seed in $seeds; do
        (cd "$home/src" && "$CARGO_TARGET_DIR/debug/chaos" --seed "$seed" --faults "$faults") >"$log" 2>&1 || true
        rm -rf "$CARGO_TARGET_DIR"/tmp/run-*
        if grep --quiet --extended-regexp "^$check +[1-9]" "$log"; then
            echo "PASS  $name: \"$check\" fails with seed $seed: $(grep --extended-regexp "^$check +[1-9]" "$log" | awk '{print $(NF-1)}') wrong"
            return 0
        fi
    done
    return 1
}

try() {
    local name=$1 patch=$PWD/tests/mutants/$1.patch log=$home/$1.log check
    check=$(sed -n '1s/^# red: //p' "$patch")
    copy_tree
    if ! patch --directory "$home/src" --strip 1 --silent --forward <"$patch" >"$log" 2>&1; then
        echo "FAIL  $name: the patch does not apply, see $log"
        return 1
    fi
    if ! (cd "$home/src" && cargo build --locked --quiet --workspace --bins --test suite --features failpoints) >"$log" 2>&1; then
        echo "FAIL  $name: the mutant does not build, see $log"
        return 1
    fi
    case $check in
        "test "*) fails "${check#test }" "$log" && return 0 ;;
        *) goes_red "$check" "$log" && return 0 ;;
    esac
    echo "FAIL  $name: \"$check\" never failed, see $log"
    return 1
}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for patch in tests/mutants/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
status=0
for name in "${names[@]}"; do
    try "$name" || status=1
done
exit $status
