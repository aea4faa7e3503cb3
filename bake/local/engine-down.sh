#!/bin/sh
# Stops the registry and the Docker Engine that were started from here, and waits for their end.
#
# usage: engine-down.sh [--state FOLDER]      the folder given to engine-up.sh and registry-up.sh
#
# Nothing else is stopped: only the process that the pid file names. Images, caches and logs stay.
# Exit: 0 nothing of ours runs any more; 3 something would not end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/machine.sh
. "$here/machine.sh"
# shellcheck source=bake/local/process.sh
. "$here/process.sh"

state=${LOCAL_STATE:-.local}
while [ $# -gt 0 ]; do
    case $1 in
        --state) state=${2:?"--state needs a folder"}; shift 2 ;;
        *) printf 'usage: engine-down.sh [--state FOLDER]\n' >&2; exit 2 ;;
    esac
done

stop() {  # PID-FILE NAME WHAT SECONDS
    if ! running "$1" "$2"; then
        as_root rm -f "$1"
        say "$3: nothing that was started from here runs"
        return
    fi
    stopped=$pid
    stop_process "$1" "$2" "$4" || fail "$3 (pid $stopped) did not end within $4 s." "See what it is busy with: ps -fp $stopped; then kill it by hand."
    say "$3 (pid $stopped) stopped"
}

stop "$state/registry.pid" docker-registry "registry" 10
stop "$state/dockerd.pid" dockerd "Docker Engine" 60
