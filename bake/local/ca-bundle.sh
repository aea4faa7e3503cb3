#!/bin/sh
# The CA bundle that builds on this machine need, if they need one: the one place that finds it.
#
# usage: ca-bundle.sh                  prints its path, or nothing where the public CAs do
#        ca-bundle.sh COMMAND...       runs the command with GENERATOR_CA_BUNDLE set to it, or unset
#
# A machine behind a TLS-inspecting proxy says so by one of the variables that its tools read. GENERATOR_CA_BUNDLE goes
# first, and must be right: exit 3 if it names no readable file. The others count if they do name one. The bake
# hands the file to the builds as a BuildKit secret; it is in no layer.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bake/local/messages.sh
. "$here/messages.sh"

usable() { [ -n "$1" ] && [ -f "$1" ] && [ -r "$1" ]; }

chosen=${GENERATOR_CA_BUNDLE:-}
if [ -n "$chosen" ]; then
    usable "$chosen" || fail "GENERATOR_CA_BUNDLE is $chosen, which is no readable file." \
        "Set it to a PEM file of CA certificates, or unset it."
else
    for bundle in "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "${PIP_CERT:-}" "${CURL_CA_BUNDLE:-}"; do
        if usable "$bundle"; then
            chosen=$bundle
            break
        fi
    done
fi

if [ $# -eq 0 ]; then
    if [ -n "$chosen" ]; then printf '%s\n' "$chosen"; fi
    exit 0
fi
unset GENERATOR_CA_BUNDLE
if [ -n "$chosen" ]; then export GENERATOR_CA_BUNDLE="$chosen"; fi
exec "$@"
