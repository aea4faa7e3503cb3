#!/bin/sh
# Installs Docker Engine with buildx, or the registry, from the distribution's packages (Debian and Ubuntu, as root).
#
# usage: engine-install.sh STATE-FOLDER [engine|registry]...          default: both
#
# Where the release's own docker.io is new enough it is taken. A Debian whose own is too old gets those
# packages alone from a newer suite of the same mirror; runc and every library stay the release's. The machine's apt
# set-up is not touched: the newer suite is known to this call only, through a private set of apt folders.
# Nothing is started: policy-rc.d forbids it while the packages are set up, and is put back afterwards.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"
# shellcheck source=bake/local/machine.sh
. "$here/machine.sh"

state=${1:?"usage: engine-install.sh STATE-FOLDER [engine|registry]..."}
shift
mkdir -p "$state"
state=$(cd "$state" && pwd)
wanted=" ${*:-engine registry} "
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
engine_needed=28    # the first release whose embedded BuildKit and containerd store this software was tested with
newer_suite=forky   # Debian's suite with such an engine, for releases before it
apt_folder=$state/apt
log=$state/install.log
export DEBIAN_FRONTEND=noninteractive

apt() {  # ARGUMENTS...: apt-get, with progress; its output is shown only when it fails
    if ! follow "$log" apt-get -o DPkg::Lock::Timeout=120 "$@"; then
        tail -n 20 "$log" >&2
        fail "apt-get failed: its last lines stand above, all of them in $log." \
            "Mend what it complains about (the network? the mirror?), or install the packages by hand, and try again."
    fi
}

candidate_major() {  # PACKAGE: the major version that apt would install, or 0
    major=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9][0-9]*\)\..*/\2/p')
    echo "${major:-0}"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

forbid_services() {
    if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$policy.kept"; fi
    trap allow_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_services() {
    rm -f "$policy"
    if [ -e "$policy.kept" ] || [ -L "$policy.kept" ]; then mv "$policy.kept" "$policy"; fi
}

use_newer_suite() {  # from here on apt sees this release and the newer suite, and nothing else
    release=$(os_field VERSION_CODENAME)
    mirror=$("$here/apt-mirror.sh" "$release") || fail \
        "No package mirror for $release in /etc/apt/sources.list or /etc/apt/sources.list.d." \
        "Give apt a source with the suite '$release' and the component 'main', then try again."
    say "Debian $release has too old an engine; taking one from the suite $newer_suite of $mirror"
    mkdir -p "$apt_folder/lists/partial" "$apt_folder/preferences"
    for suite in "$release" "$newer_suite"; do
        printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite"
    done >"$apt_folder/sources.list"
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n' "$newer_suite" >"$apt_folder/preferences/newer-suite.pref"
    cat >"$apt_folder/apt.conf" <<APT
Dir::Etc::SourceList "$apt_folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::PreferencesParts "$apt_folder/preferences";
Dir::State::Lists "$apt_folder/lists";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT
    export APT_CONFIG="$apt_folder/apt.conf"
}

install_newer_engine() {
    use_newer_suite
    extra=
    is_installed systemd || extra=systemd-standalone-sysusers
    # Single packages name the suite. "-t SUITE" would bring the newer C library along.
    set -- docker.io docker-cli docker-buildx containerd tini-static
    for package in "$@"; do
        shift
        set -- "$@" "$package/$newer_suite"
    done
    apt update
    apt install -y --no-install-recommends "$@" runc iptables iproute2 ${extra:+"$extra"}
    unset APT_CONFIG
    rm -rf "$apt_folder"
}

install_engine() {
    for package in docker-ce docker-ce-cli; do
        if is_installed "$package"; then
            fail "The package $package (docker.com) is installed, but no engine >= $engine_needed with buildx answers." \
                "Complete it: apt-get install docker-ce docker-buildx-plugin; then: systemctl start docker"
        fi
    done
    if [ "$(candidate_major docker.io)" -ge "$engine_needed" ]; then
        apt install -y --no-install-recommends docker.io docker-buildx iptables iproute2
    elif [ "$(os_field ID)" = debian ]; then
        install_newer_engine
    else
        fail "The package docker.io of $(os_field PRETTY_NAME) is older than $engine_needed." \
            "Install Docker Engine with the buildx plugin as https://docs.docker.com/engine/install/ says, start it, and try again."
    fi
}

forbid_services
say "installing from the distribution's packages:$wanted(about half a minute; log: $log)"
apt update
case $wanted in *" engine "*) install_engine ;; esac
case $wanted in *" registry "*) apt install -y --no-install-recommends docker-registry ;; esac
