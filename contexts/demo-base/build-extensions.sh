#!/bin/sh
# Compiles the CPU builds of the extensions, one process for each package and within it one module for each core.
#
# usage: build-extensions.sh PYTHON REQUIREMENTS OUT
#
# Parsing torch's headers is nearly all of the time, so each module is compiled as one file (its two sources in one),
# and without debugging information.
set -eu

python=$1 requirements=$2 out=$3
export FORCE_ONLY_CPU=1 CFLAGS=-g0 PIP_DISABLE_PIP_VERSION_CHECK=1
work=$(mktemp -d)
cd "$work"
"$python" -m pip download --quiet --no-cache-dir --no-deps --no-build-isolation --no-binary :all: \
    --require-hashes --requirement "$requirements" --dest "$work"
pids=
for archive in *.tar.gz; do
    tar -xzf "$archive"
    folder=${archive%.tar.gz}
    for module in "$folder"/csrc/*.cpp; do
        name=$(basename "$module" .cpp)
        kernel=$folder/csrc/cpu/${name}_cpu
        [ -e "$kernel.cpp" ] || continue
        mv "$kernel.cpp" "$kernel.inc"
        printf '#include "cpu/%s_cpu.inc"\n' "$name" >>"$module"
    done
    printf '\n[build_ext]\nparallel = %s\n' "$(nproc)" >>"$folder/setup.cfg"
    "$python" -m pip wheel --no-deps --no-build-isolation --no-cache-dir --wheel-dir "$out" "./$folder" >"$folder.log" 2>&1 &
    pids="$pids $!:$folder"
done
status=0
for job in $pids; do
    if ! wait "${job%%:*}"; then
        status=1
        tail -n 40 "${job#*:}.log" >&2
        echo "error: compiling ${job#*:} failed; its last lines stand above" >&2
    fi
done
rm -rf "$work"
exit $status
