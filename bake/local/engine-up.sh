#!/bin/sh
# Sees to it that a Docker Engine with buildx answers; the second call changes nothing and takes a moment.
#
# usage: engine-up.sh [--state FOLDER]      the folder for the pid file and the log; default $LOCAL_STATE or .local
#
# An engine that answers is used as it is. Else, on Debian and Ubuntu and as root (or with a sudo that asks for no
# password), it is installed from the distribution's packages where need be (engine-install.sh) and started.
# ENGINE_DATA_ROOT is where a started engine keeps images and caches (default /var/lib/docker).
# Exit: 0 an engine answers; 3 this machine can't have one this way, and the message says what to install.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/machine.sh
. "$here/machine.sh"
# shellcheck source=bake/local/process.sh
. "$here/process.sh"

state=${LOCAL_STATE:-.local}
run_folder=${ENGINE_RUN_FOLDER:-/var/run}
data_root=${ENGINE_DATA_ROOT:-/var/lib/docker}
seconds_to_start=60
buildx_needed=0.17  # the first whose "bake" has the linked targets, --allow and rawjson progress that bake uses

while [ $# -gt 0 ]; do
    case $1 in
        --state) state=${2:?"--state needs a folder"}; shift 2 ;;
        *) printf 'usage: engine-up.sh [--state FOLDER]\n' >&2; exit 2 ;;
    esac
done

engine_answers() { docker info --format '{{.ServerVersion}}' 2>/dev/null | grep -q .; }

buildx_version() { docker buildx version 2>/dev/null | sed -n 's/^[^ ]* v\{0,1\}\([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p'; }

buildx_is_new_enough() {  # VERSION: MAJOR.MINOR
    [ "${1%%.*}" -gt "${buildx_needed%%.*}" ] ||
        { [ "${1%%.*}" -eq "${buildx_needed%%.*}" ] && [ "${1#*.}" -ge "${buildx_needed#*.}" ]; }
}

check_buildx() {
    version=$(buildx_version)
    if [ -z "$version" ]; then
        fail "Docker Engine answers, but its command line has no buildx." \
            "Install the buildx plugin >= $buildx_needed (package docker-buildx-plugin of docker.com, docker-buildx of the distribution)."
    fi
    if ! buildx_is_new_enough "$version"; then
        fail "buildx $version is too old: $buildx_needed or newer is needed." \
            "Update the package docker-buildx-plugin (docker.com) or docker-buildx (the distribution's)."
    fi
}

report_engine() {
    say "Docker Engine $(docker info --format '{{.ServerVersion}}') with buildx $version answers: $1"
}

explain_who_may() {  # the engine may run already, but not for us
    socket=$run_folder/docker.sock
    if [ -z "${DOCKER_HOST:-}" ] && [ -S "$socket" ] && [ ! -w "$socket" ]; then
        fail "There is a Docker Engine, but $(id -un) may not use it ($socket)." \
            "Join the group: sudo usermod -aG docker $(id -un), log in again, and try again."
    fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        fail "DOCKER_HOST is $DOCKER_HOST, and no engine answers there." \
            "Start that engine, or unset DOCKER_HOST to use one on this machine."
    fi
}

installed() {
    command -v dockerd >/dev/null || return 1
    version=$(buildx_version)
    [ -n "$version" ] && buildx_is_new_enough "$version"
}

answers_or_has_died() { engine_answers || ! kill -0 "$launched"; }

start_engine() {
    state=$(cd "$state" && pwd)
    pid_file=$state/dockerd.pid
    log=$state/dockerd.log
    if running "$pid_file" dockerd; then
        fail "The engine that was started from here (pid $pid, log $log) runs, but does not answer." "make down, then try again."
    fi
    if running "$run_folder/docker.pid" dockerd; then
        fail "Another dockerd (pid $pid) runs on this machine, but does not answer." "See its log, or stop it, and try again."
    fi
    say "starting Docker Engine (log: $log)"
    as_root rm -f "$pid_file"
    set -- setsid dockerd --config-file "$here/engine-daemon.json" --pidfile "$pid_file" --data-root "$data_root"
    if [ "$(id -u)" -ne 0 ]; then set -- sudo -n "$@" --group "$(id -g)"; fi  # the group: we may use what sudo starts
    # No function here: its subshell would keep our own output open, and "make engine | tee" would never end.
    "$@" </dev/null >"$log" 2>&1 &
    launched=$!
    wait_until "$seconds_to_start" "Docker Engine" answers_or_has_died || true
    if ! engine_answers; then
        tail -n 15 "$log" >&2
        stop_process "$pid_file" dockerd 10 || true
        fail "Docker Engine did not start; the last lines of its log stand above." \
            "Often it is a kernel without overlayfs or iptables, or a container without the rights for one. The whole log: $log"
    fi
}

if engine_answers; then
    check_buildx
    report_engine "used as it is"
    exit 0
fi
explain_who_may
check_can_install "No Docker Engine answers." "install Docker Engine >= 28 with the buildx plugin \
(https://docs.docker.com/engine/install/), start it (systemctl start docker), see that 'docker info' answers, and try again."
mkdir -p "$state"
if ! installed; then as_root "$here/engine-install.sh" "$state"; fi
start_engine
check_buildx
report_engine "started, pid $(cat "$state/dockerd.pid"); 'make down' stops it"
