#!/bin/sh
# Prints the address of the distribution's own package mirror, as this machine's apt is set up.
#
# usage: apt-mirror.sh SUITE [SOURCE-FILE...]
#
# SUITE is the release's code name, for example bookworm. Without files $APT_SOURCES is read, or
# the machine's own: /etc/apt/sources.list and /etc/apt/sources.list.d/*. Both formats are understood: one-line ("deb URI
# SUITE main") and deb822 ("URIs: URI", "Suites: SUITE"). The first entry that is enabled, has the suite itself
# (not SUITE-updates or SUITE-security) and the component main wins. Exit 1: there is none.
set -eu

suite=${1:?"usage: apt-mirror.sh SUITE [SOURCE-FILE...]"}
shift
if [ $# -eq 0 ] && [ -n "${APT_SOURCES:-}" ]; then
    set -- "$APT_SOURCES"
elif [ $# -eq 0 ]; then
    set -- /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list
fi

for file in "$@"; do
    [ -r "$file" ] || continue
    case $file in
        *.sources) format=deb822 ;;
        *) format=lines ;;
    esac
    uri=$(awk -v suite="$suite" -v format="$format" '
        function has(list, word,    i, n, parts) {
            n = split(list, parts, /[ \t]+/)
            for (i = 1; i <= n; i++) if (parts[i] == word) return 1
            return 0
        }
        function stanza_ends() {
            if (uris != "" && enabled != "no" && has(types, "deb") && has(suites, suite) && has(components, "main")) {
                sub(/^[ \t]+/, "", uris); split(uris, found, /[ \t]+/); print found[1]; uris = ""; exit
            }
            uris = types = suites = components = enabled = field = ""
        }
        format == "lines" {
            sub(/#.*/, ""); sub(/\[[^]]*\]/, "")
            if ($1 == "deb" && $3 == suite && has($0, "main")) { print $2; exit }
            next
        }
        /^#/ { next }
        /^[ \t]*$/ { stanza_ends(); next }
        {
            value = $0
            if ($0 !~ /^[ \t]/) { field = tolower($0); sub(/:.*/, "", field); sub(/^[^:]*:/, "", value) }
            gsub(/^[ \t]+|[ \t]+$/, "", value)
            if (field == "types") types = types " " value
            if (field == "uris") uris = uris " " value
            if (field == "suites") suites = suites " " value
            if (field == "components") components = components " " value
            if (field == "enabled") enabled = tolower(value)
        }
        END { if (format == "deb822") stanza_ends() }
    ' "$file")
    if [ -n "$uri" ]; then
        printf '%s\n' "$uri"
        exit 0
    fi
done
exit 1
