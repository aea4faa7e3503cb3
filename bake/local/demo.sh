#!/bin/sh
# The demo, end to end: base image, bake and push, the image pulled back from the registry, verified.
#
# usage: demo.sh            in the repository's root, with .venv, an engine and the registry (make demo sees to them)
#
# Environment: REGISTRY_PORT (5000), LOCAL_STATE (.local). The figures go to LOCAL_STATE/demo.json as well.
# Exit: the status of the phase that failed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/phases.sh
. "$here/phases.sh"

state=${LOCAL_STATE:-.local}
registry=127.0.0.1:${REGISTRY_PORT:-5000}
local_tag=deepprep-demo:uplifted
image=$registry/$local_tag
python=.venv/bin/python
times=$state/demo.times
run_of=demo

if [ -n "${GENERATOR_CA_BUNDLE:-}" ]; then
    say "builds get this machine's CA bundle as a secret: $GENERATOR_CA_BUNDLE"
fi

pull() {  # what is verified must be what the registry holds: nothing local counts, but an earlier pull of the same digest
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image") || return
    if [ "$(cat "$state/demo.pulled" 2>/dev/null)" != "$digest" ]; then
        for tag in "$local_tag" "$image"; do
            docker image rm "$tag" >/dev/null 2>&1 || true
        done
    fi
    docker pull --quiet "$image" >&2 || return
    printf '%s\n' "$digest" >"$state/demo.pulled"
}

mkdir -p "$state"
: >"$times"
phase "base image" "$python" -m lab.demo_base --demo
if [ -z "${GENERATOR_FETCHER:-}" ]; then # where no image can be pulled, the one that was made here fetches
    GENERATOR_FETCHER=$("$python" -m lab.demo_rootfs)
    [ -z "$GENERATOR_FETCHER" ] || export GENERATOR_FETCHER
fi
phase "bake and push" "$python" -m generator -r demo bake --push --registry "$registry"
phase "pull" pull
phase "verify" "$python" -m generator -r demo verify "$image"
"$python" -m lab.demo_summary --image "$image" --times "$times" --json "$state/demo.json"
