#!/bin/sh
# The real lab, end to end: a base of the true shape with DeepPrep's own sources and models of its class, the recipe
# `deepprep-cu130` as shipped baked on it with the real PyTorch3D, verified, and what came of it in a table.
#
# usage: real.sh DEEPPREP PYTORCH3D [ARCHS]      in the repository's root, with .venv and an engine (make real sees to them)
#        DEEPPREP    checkout of github.com/pBFSLab/DeepPrep, tag 25.1.0
#        PYTORCH3D   checkout of github.com/facebookresearch/pytorch3d, tag v0.7.9
#        ARCHS       compute capabilities; default 12.0 alone, which is a quarter of the recipe's work
#
# Environment: LOCAL_STATE (.local). What it makes lies in LOCAL_STATE/real, the figures in LOCAL_STATE/real/real.json.
# Exit: the status of the phase that failed; 2 where a checkout is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/phases.sh
. "$here/phases.sh"

deepprep=${1:-} pytorch3d=${2:-} archs=${3:-12.0}
recipe="deepprep-cu130"
base=uplift-real/deepprep:25.1.0
image=uplift-real/deepprep:25.1.0-cu130
real=${LOCAL_STATE:-.local}/real
python=.venv/bin/python
times=$real/times
run_of=real

if [ -z "$deepprep" ] || [ -z "$pytorch3d" ]; then
    say "error: make real needs two checkouts: make real DEEPPREP=FOLDER PYTORCH3D=FOLDER"
    say "  -> git clone --branch 25.1.0 https://github.com/pBFSLab/DeepPrep"
    say "     git clone --branch v0.7.9 https://github.com/facebookresearch/pytorch3d"
    exit 2
fi

say "make real: about 25 GB of disk and, on two cores, an hour and a half at first; what is done is kept."
say "It bakes the recipe $recipe as shipped for $archs, on $base, which is made here."
say "Real: DeepPrep's sources and model class, torch 2.0.1, torch-geometric 2.2.0, torch-scatter, torch-sparse, PyTorch3D."
say "Not real: the models' weights are random; Python is Debian's 3.11; the base's own PyTorch3D is a small stand-in, made to"
say "be replaced; TensorFlow and nighres are left out; no GPU is used, so nothing here shows that a kernel runs."

show() {  # whatever came of it, also where a check failed
    if [ -e "$real/build/verify/report.json" ]; then
        "$python" -m lab.real_summary --image "$image" --build "$real/build" --times "$times" --json "$real/real.json"
    fi
}

mkdir -p "$real"
rm -f "$real/build/verify/report.json"
: >"$times"
trap show EXIT
phase "base image" "$python" -m lab.real_base --deepprep "$deepprep" --tag "$base"
if [ -z "${GENERATOR_FETCHER:-}" ]; then # where no image can be pulled, the one that was made here fetches
    GENERATOR_FETCHER=$("$python" -m lab.demo_rootfs)
    [ -z "$GENERATOR_FETCHER" ] || export GENERATOR_FETCHER
fi
phase "PyTorch3D's archive" "$python" -m lab.real_site --pytorch3d "$pytorch3d" --recipe "$recipe" --out "$real"
phase "assets" "$python" -m generator -r "$recipe" fetch --site "$real/site.toml"
phase "bake and verify" "$python" -m generator -r "$recipe" bake --site "$real/site.toml" \
    --base "$base" --tag "$image" --arch "$archs" --output-dir "$real/build"
