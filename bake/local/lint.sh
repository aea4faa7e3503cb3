#!/bin/sh
# Every static check: Python, shell, and what the recipes render to. All run; one line tells how each went.
#
# usage: lint.sh [--without-engine]      in the repository's root, with .venv (make venv); the bake files need buildx
#
# Exit: 0 all clean; 1 at least one check found something.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"

PATH=$(pwd)/.venv/bin:$PATH
export PATH
out=.local/lint
failed=

check() {  # NAME COMMAND...
    check_name=$1
    shift
    if "$@" >"$out/output" 2>&1 </dev/null; then
        say "  ok    $check_name"
    else
        say "  FAIL  $check_name:"
        sed 's/^/        /' "$out/output" >&2
        failed="$failed; $check_name"
    fi
}

shell_files() { find . -name '.?*' -prune -o -name build -prune -o -name '*.sh' -type f -print; echo ./.ci/run; }

rm -rf "$out"
mkdir -p "$out"
say "lint"
check "ruff check" ruff check --quiet --output-format concise .
check "ruff format" ruff format --check --quiet --output-format concise .
check "mypy" mypy --no-error-summary
check "imports" lint-imports --no-cache
# shellcheck disable=SC2046 # the tree has no file names with spaces
check "shellcheck" shellcheck -x $(shell_files)
for recipe in generator/recipes/*.toml; do
    case $recipe in *.lock.toml) continue ;; esac
    name=$(basename "$recipe" .toml)
    folder=$out/$name
    check "render $name" python -m generator -r "$name" render -o "$folder"
    [ -f "$folder/docker-bake.hcl" ] || continue
    # shellcheck disable=SC2046
    check "hadolint $name" hadolint --no-color --config "$here/hadolint.yaml" $(find "$folder" -name Dockerfile)
    if [ "${1:-}" != --without-engine ]; then
        check "buildx --print and --check $name" python -m lab.check_rendered "$folder/docker-bake.hcl"
    fi
done

if [ -n "$failed" ]; then
    say "lint: failed:${failed#;}"
    exit 1
fi
