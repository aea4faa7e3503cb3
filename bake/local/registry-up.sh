#!/bin/sh
# Sees to it that a registry answers at 127.0.0.1:PORT; a plain process that only this machine can reach.
#
# usage: registry-up.sh [--state FOLDER] [--port PORT]      defaults: $LOCAL_STATE or .local, $REGISTRY_PORT or 5000
#
# Images lie in FOLDER/registry and stay there when it is stopped. Docker pushes to a loopback address without TLS.
# Exit: 0 it answers; 3 it can't be had, and the message says why.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/machine.sh
. "$here/machine.sh"
# shellcheck source=bake/local/process.sh
. "$here/process.sh"

state=${LOCAL_STATE:-.local}
port=${REGISTRY_PORT:-5000}
while [ $# -gt 0 ]; do
    case $1 in
        --state) state=${2:?"--state needs a folder"}; shift 2 ;;
        --port) port=${2:?"--port needs a number"}; shift 2 ;;
        *) printf 'usage: registry-up.sh [--state FOLDER] [--port PORT]\n' >&2; exit 2 ;;
    esac
done
case $port in
    '' | *[!0-9]*) printf 'usage: the port is a number, not "%s"\n' "$port" >&2; exit 2 ;;
esac

# Python is there anyway (make venv); curl and wget are not on every machine.
answer_of() {  # PORT: "registry", "other" (something listens that is none) or "nothing"
    python3 - "$1" <<'PYTHON'
import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=3)
try:
    connection.request("GET", "/v2/")
    version = connection.getresponse().getheader("Docker-Distribution-Api-Version", "")
    print("registry" if version.startswith("registry/2") else "other")
except ConnectionRefusedError:
    print("nothing")
except (OSError, http.client.HTTPException):
    print("other")
PYTHON
}

registry_answers() { [ "$(answer_of "$port")" = registry ]; }

answers_or_has_died() { registry_answers || ! kill -0 "$launched"; }

mkdir -p "$state"
state=$(cd "$state" && pwd)
pid_file=$state/registry.pid
log=$state/registry.log

ours=no
if running "$pid_file" docker-registry; then ours=yes; fi
case $(answer_of "$port"),$ours in
    registry,yes) say "registry at 127.0.0.1:$port answers: started earlier, pid $pid"; exit 0 ;;
    registry,no) say "registry at 127.0.0.1:$port answers: not started from here, used as it is"; exit 0 ;;
    other,*) fail "Port $port of 127.0.0.1 is taken by something that is no registry (see: ss -ltnp 'sport = :$port')." \
        "Choose another: make REGISTRY_PORT=5001 ..." ;;
    nothing,yes) fail "The registry started from here (pid $pid) is on another port than $port, or hangs (log: $log)." \
        "make down, then try again." ;;
esac

if ! command -v docker-registry >/dev/null; then
    check_can_install "No registry answers at 127.0.0.1:$port, and the command docker-registry isn't there." \
        "start one, for example: docker run -d -p 127.0.0.1:$port:5000 registry:2; and try again."
    as_root "$here/engine-install.sh" "$state" registry
fi

cat >"$state/registry.yml" <<YAML
# Written by registry-up.sh
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: "$state/registry"}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$port"}
YAML
say "starting a registry at 127.0.0.1:$port (images: $state/registry, log: $log)"
setsid docker-registry serve "$state/registry.yml" </dev/null >"$log" 2>&1 &
launched=$!
echo "$launched" >"$pid_file"
wait_until 20 "the registry" answers_or_has_died || true
if ! registry_answers; then
    tail -n 10 "$log" >&2
    stop_process "$pid_file" docker-registry 5 || true
    fail "The registry did not start at 127.0.0.1:$port; the last lines of its log stand above." "The whole log: $log"
fi
say "registry at 127.0.0.1:$port answers: started, pid $(cat "$pid_file"); 'make down' stops it"
