#!/usr/bin/env bash
# Installs the Debian packages that Upwell needs and that are missing; without root it says which and stops. Usage:
# system-packages.sh build|test
set -euo pipefail
case "${1:-}" in
build) packages=(g++ make python3 python3-venv) ;;
test) packages=(catch2 pocl-opencl-icd ocl-icd-libopencl1 postgresql) ;;
*)
    echo "usage: system-packages.sh build|test" >&2
    exit 2
    ;;
esac

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian system: please install the equivalents of ${packages[*]} (Catch2: 2.x or 3.x)." >&2
    echo "Continuing; the build says what is missing." >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Upwell needs packages that are not installed. Please run:" >&2
    echo "sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The tests run database servers of their own: installing the programs should not start another one.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/upwell.conf
fi
apt-get update
apt-get install -y --no-install-recommends "${missing[@]}"
