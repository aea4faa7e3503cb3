# shellcheck shell=sh
# Sourced after messages.sh: what this machine is, and what we may do on it.

os_release=${OS_RELEASE_FILE:-/etc/os-release}

os_field() {  # FIELD: a value of os-release, or nothing
    # shellcheck disable=SC1090
    if [ -r "$os_release" ]; then (. "$os_release" && eval "printf '%s\n' \"\${$1:-}\""); fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }

as_root() {  # COMMAND...: as root, by sudo where we are not
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

check_can_install() {  # PROBLEM BY-HAND: ends with status 3, and with what to do by hand, where we can't install packages
    name=$(os_field PRETTY_NAME)
    case " $(os_field ID) $(os_field ID_LIKE) " in
        *" debian "* | *" ubuntu "*) ;;
        *) fail "$1 On ${name:-this system} it is not installed automatically (only on Debian and Ubuntu)." "$2" ;;
    esac
    if ! command -v apt-get >/dev/null; then
        fail "$1 $name has no apt-get to install it with." "$2"
    fi
    if ! can_be_root; then
        fail "$1 $(id -un) may not install or start one: neither root nor a sudo without password." "Run this as root, or: $2"
    fi
}

follow() {  # LOG COMMAND...: runs it with its output in LOG, and says every 10 s how far it is; its own exit status
    follow_log=$1
    shift
    "$@" >"$follow_log" 2>&1 </dev/null &
    follow_pid=$!
    ticks=0
    while kill -0 "$follow_pid" 2>/dev/null; do
        sleep 0.2
        ticks=$((ticks + 1))
        if [ $((ticks % 50)) -eq 0 ]; then say "  $((ticks / 5)) s: $(tail -n 1 "$follow_log" | cut -c 1-100)"; fi
    done
    wait "$follow_pid"
}
