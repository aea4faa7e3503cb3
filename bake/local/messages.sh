# shellcheck shell=sh
# Sourced: how the scripts of this folder speak. Everything goes to stderr; a failure has status 3 (surroundings not fit).

say() { printf '%s\n' "$*" >&2; }

fail() {  # WHAT REMEDY: says both and ends with status 3
    printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
    exit 3
}
