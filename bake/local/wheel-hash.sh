#!/bin/sh
# Compiles one wheel of the demo, where this machine's builder has it not cached, and prints the SHA-256 of its file.
#
# usage: wheel-hash.sh TARGET            in the repository's root, after make demo-base; all else goes to stderr
#
# No registry's wheels and compiler caches are used.
#
# Exit: the status of what failed.
set -eu

target=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if [ -z "${GENERATOR_FETCHER:-}" ]; then # where no image can be pulled, the one that was made here fetches
    GENERATOR_FETCHER=$(.venv/bin/python -m lab.demo_rootfs)
    [ -z "$GENERATOR_FETCHER" ] || export GENERATOR_FETCHER
fi
[ -z "${GENERATOR_FETCHER:-}" ] || export FETCHER_IMAGE="$GENERATOR_FETCHER" # for plain buildx
unset GENERATOR_REGISTRY
.venv/bin/python -m generator -r demo bake "$target" --wheels none --compiler-cache none -o "$folder/build" >&2
docker buildx bake -f "$folder/build/docker-bake.hcl" --allow "fs=$folder" \
    --set "$target.output=type=local,dest=$folder/out" "$target" >&2
set -- "$folder"/out/*.whl
[ -f "$1" ] || { echo "error: $target left no wheel" >&2; exit 1; }
sha256sum "$@" | cut -d ' ' -f 1
