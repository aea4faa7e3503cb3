#!/bin/sh
# Installs Docker Engine, buildx and the registry from the distribution's packages (Debian and Ubuntu, as root).
#
# usage: engine-install.sh STATE-FOLDER
#
# Where the release's own docker.io is new enough it is taken. A Debian whose own is too old gets those
# packages alone from a newer suite of the same mirror; runc and every library stay the release's. The machine's apt
# set-up is not touched: the newer suite is known to this call only, through a private set of apt folders.
# Nothing is started: policy-rc.d forbids it while the packages are set up, and is put back afterwards.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"

state=${1:?"usage: engine-install.sh STATE-FOLDER"}
os_release=${OS_RELEASE_FILE:-/etc/os-release}
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
engine_needed=28    # the first release whose embedded BuildKit and containerd store this software was tested with
newer_suite=forky   # Debian's suite with such an engine, for releases before it

apt_folder=$state/apt
export DEBIAN_FRONTEND=noninteractive

# shellcheck disable=SC1090
distribution() { (. "$os_release" && printf '%s\n' "${ID:-}"); }
# shellcheck disable=SC1090
codename() { (. "$os_release" && printf '%s\n' "${VERSION_CODENAME:-}"); }

quietly() {  # COMMAND...: its output goes to the log, and is shown only when it fails
    if ! "$@" >"$state/install.log" 2>&1 </dev/null; then
        tail -n 20 "$state/install.log" >&2
        fail "Installing Docker Engine failed: $1 ended with an error." \
            "See above and $state/install.log; mend what apt complains about, or install Docker Engine >= $engine_needed with buildx by hand, and try again."
    fi
}

candidate_major() {  # PACKAGE: the major version that apt would install, or 0
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9][0-9]*\)\..*/\2/p' | grep . || echo 0
}

forbid_services() {
    if [ -e "$policy" ]; then mv "$policy" "$policy.kept"; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap allow_services EXIT
    trap 'exit 130' INT TERM
}

allow_services() {
    rm -f "$policy"
    if [ -e "$policy.kept" ]; then mv "$policy.kept" "$policy"; fi
}

install_own() {
    quietly apt-get install -y --no-install-recommends docker.io docker-buildx docker-registry iptables
}

install_newer() {
    release=$(codename)
    mirror=$("$here/apt-mirror.sh" "$release") || fail \
        "No package mirror for $release in /etc/apt/sources.list or /etc/apt/sources.list.d." \
        "Give apt a source with the suite '$release' and the component 'main', then try again."
    say "Debian $release has too old an engine; taking it from the suite $newer_suite of $mirror"
    mkdir -p "$apt_folder/lists/partial" "$apt_folder/preferences"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    for suite in "$release" "$newer_suite"; do
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
    done >"$apt_folder/sources.list"
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n' "$newer_suite" >"$apt_folder/preferences/newer-suite.pref"
    own_view="-o Dir::Etc::SourceList=$apt_folder/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::PreferencesParts=$apt_folder/preferences -o Dir::State::Lists=$apt_folder/lists
        -o Acquire::Check-Valid-Until=no -o Acquire::Languages=none -o APT::Sandbox::User=root"
    without_systemd=systemd-standalone-sysusers
    if [ "$(dpkg-query -W -f '${db:Status-Status}' systemd 2>/dev/null)" = installed ]; then without_systemd=; fi
    # Single packages carry the suite. "-t SUITE" would bring the newer C library along.
    # shellcheck disable=SC2086
    set -- docker.io docker-cli docker-buildx containerd tini-static docker-registry
    for package in "$@"; do set -- "$@" "$package/$newer_suite"; shift; done
    # shellcheck disable=SC2086
    quietly apt-get $own_view update
    # shellcheck disable=SC2086
    quietly apt-get $own_view install -y --no-install-recommends "$@" runc iptables $without_systemd
    rm -rf "$apt_folder"
}

mkdir -p "$state"
forbid_services
say "installing Docker Engine, buildx and the registry from the distribution's packages (about 250 MB on disk)"
if [ "$(distribution)" = debian ] && [ "$(codename)" != "$newer_suite" ] && [ "$(candidate_major docker.io)" -lt "$engine_needed" ]; then
    install_newer
else
    quietly apt-get update
    if [ "$(candidate_major docker.io)" -lt "$engine_needed" ]; then
        fail "This release's own docker.io is older than $engine_needed." \
            "Install Docker Engine >= $engine_needed with the buildx plugin as https://docs.docker.com/engine/install/ says, start it, and try again."
    fi
    install_own
fi
