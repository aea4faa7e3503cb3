# shellcheck shell=sh
# Sourced after messages.sh and machine.sh: a background process that has a pid file and a log of its own.

running() {  # PID-FILE NAME: true if the process of the pid file lives and bears that name (pids are used again)
    [ -s "$1" ] || return 1
    pid=$(cat "$1")
    case $pid in *[!0-9]*) return 1 ;; esac
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 1
    # A zombie has ended; in a container whose first process reaps nobody it stays in the table.
    ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

wait_until() {  # SECONDS WHAT COMMAND...: asks every 0.2 s, and says every 5 s that it still waits; 1 when the time is up
    tries=$(($1 * 5))
    what=$2
    shift 2
    try=0
    while [ "$try" -lt "$tries" ]; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        try=$((try + 1))
        if [ $((try % 25)) -eq 0 ]; then say "  waiting for $what ($((try / 5)) s)"; fi
        sleep 0.2
    done
    return 1
}

stop_process() {  # PID-FILE NAME SECONDS: asks it to end and waits; 1 if it is still there afterwards
    if running "$1" "$2"; then
        # shellcheck disable=SC2016 # the inner shell expands it
        as_root sh -c 'kill "$1"' sh "$pid" 2>/dev/null || true  # a shell has kill built in; /bin/kill may be missing
        wait_until "$3" "$2 to end" has_ended "$1" "$2" || return 1
    fi
    as_root rm -f "$1"
}

has_ended() { ! running "$1" "$2"; }
