# shellcheck shell=sh
# Sourced after messages.sh: a run in phases, each said and timed. Before: `times`, the file of the times, and `run_of`, the
# target of make.

phase() {  # NAME COMMAND...: says what begins, and notes how long it took
    phase_name=$1
    shift
    say ""
    say "== $phase_name"
    began=$(date +%s)
    "$@" || {
        status=$?
        say ""
        say "error: 'make ${run_of:?}' ended in the phase '$phase_name' with status $status; see above. Mend it and run it again: what is done is kept."
        exit "$status"
    }
    printf '%s\t%s\n' "$phase_name" $(($(date +%s) - began)) >>"${times:?}"
}
