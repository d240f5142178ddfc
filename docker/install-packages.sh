#!/bin/bash
# Installs what docker/packages.txt lists and is missing, and makes the Python environment that the
# tests and the demo use. Run by `make deps` and by the Dockerfile, so that both install the same.
# With `--clients` it also makes that of the larger programs that `make test-clients` runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

mapfile -t wanted < <(grep -vE '^[[:space:]]*(#|$)' "$here/packages.txt")
missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ "${1:-}" = "--packages-only" ] && exit 0

# environment FOLDER LIST…: Python packages, installed anew when a list has changed. Of a list whose
# name ends in -alone.txt the packages come without those that they name themselves.
environment() {
    local venv="$here/../$1" list
    shift
    if ! cat "${@/#/$here/}" | cmp -s - "$venv/.installed"; then
        python3 -m venv "$venv"
        for list in "$@"; do
            local options=()
            [[ $list == *-alone.txt ]] && options=(--no-deps)
            "$venv/bin/pip" install --quiet --disable-pip-version-check "${options[@]}" -r "$here/$list"
        done
        cat "${@/#/$here/}" > "$venv/.installed"
    fi
}

environment .venv python.txt
[ "${1:-}" = "--clients" ] && environment .venv-clients python-clients.txt python-clients-alone.txt

if ! command -v swift >/dev/null; then
    echo "swift not found: install Swift 6.3 (https://www.swift.org/install/linux/), or run" \
        "docker compose -f docker/compose.yaml up" >&2
    exit 1
fi
