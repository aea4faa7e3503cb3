#!/bin/sh
# Makes the virtual environment .venv with the package (editable) and its development extras; again only when
# pyproject.toml has changed.
#
# usage: venv.sh            in the repository's root; PYTHON names the interpreter (default python3, 3.10 or newer)
#
# Exit: 0 it is there; 3 there is no fit Python, and it can't be installed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/machine.sh
. "$here/machine.sh"

python=${PYTHON:-python3}
stamp=.venv/.installed-for
log=.local/venv.log

fits() { "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

[ -f pyproject.toml ] || fail "There is no pyproject.toml in $(pwd)." "Run this in the repository's root (make does)."
wanted="$(pwd) $(cksum <pyproject.toml)"
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c 'import generator' 2>/dev/null; then
    exit 0
fi

mkdir -p .local
if ! fits; then
    by_hand="install Python >= 3.10 with its venv module (python3, python3-venv), or name one: make PYTHON=/path/to/python3.12 ..."
    check_can_install "'$python' is no Python >= 3.10 with the module venv." "$by_hand"
    say "installing python3 and python3-venv"
    export DEBIAN_FRONTEND=noninteractive
    if ! follow .local/install.log as_root sh -c 'apt-get update && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates'; then
        tail -n 10 .local/install.log >&2
        fail "Installing python3-venv failed; the last lines stand above." "$by_hand"
    fi
    fits || fail "'$python' is older than 3.10 or lacks the module venv, and so does the distribution's." "$by_hand"
fi

say "installing the package and its development tools into .venv (log: $log)"
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv
fi
if ! follow "$log" .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --editable '.[dev]'; then
    tail -n 10 "$log" >&2
    fail "pip could not install the package; the last lines stand above." \
        "If they speak of certificates: set PIP_CERT to your site's CA bundle. If of the network: see that pip reaches a package index."
fi
printf '%s\n' "$wanted" >"$stamp"
