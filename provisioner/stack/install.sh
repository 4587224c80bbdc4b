#!/usr/bin/env bash
# Installs what is missing to run (`install.sh run`), to test (`install.sh test`) or to check the
# code (`install.sh lint`): Debian's packages and the Python environment in .venv. Where nothing is
# missing it does nothing. It starts no service, makes no database cluster, and leaves those that
# exist alone.
set -euo pipefail

readonly USAGE="usage: install.sh run|test|lint"
readonly PURPOSE=${1:?$USAGE}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
readonly VAR_DIR=${VAR_DIR:-var}
readonly LOG=$VAR_DIR/log/install.log
readonly VENV=$ROOT/.venv
readonly STAMP=$VENV/installed

readonly POLICY=/usr/sbin/policy-rc.d
readonly SAVED_POLICY=$POLICY.before-provisioner
readonly POLICY_MARK="# Temporary: provisioner installs packages whose services must not start."
readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.d/provisioner-installs.conf

RUN_PACKAGES=(
    kamailio kamailio-postgres-modules kamailio-extra-modules kamailio-tls-modules
    kamailio-websocket-modules rtpengine-daemon
)
TEST_PACKAGES=(
    sip-tester baresip-core sipsak linphone-cli iproute2 iptables nftables chromium
    fonts-dejavu-core libfaketime nginx-light git prometheus systemd
    kamcli python3-psycopg2
)

main() {
    case $PURPOSE in run | test | lint) ;; *) fail "$USAGE" ;; esac
    cd "$ROOT"
    prepare_log
    exec 9<"$ROOT" && flock 9 # one installation at a time
    install_packages
    install_python
}

fail() {
    echo "$*" >&2
    exit 1
}

prepare_log() {
    make_log 2>/dev/null ||
        fail "$VAR_DIR cannot be written; set VAR_DIR to a directory that you may write."
}

make_log() {
    # Others may pass through the state's directory, but not list it.
    if [[ ! -d $VAR_DIR ]]; then
        mkdir -p "$VAR_DIR" && chmod 711 "$VAR_DIR" || return
    fi
    if [[ ! -d $VAR_DIR/log ]]; then
        mkdir "$VAR_DIR/log" && chmod 700 "$VAR_DIR/log" || return
    fi
    touch "$LOG"
}

# Runs a command quietly; if it fails, shows why.
logged() {
    local start
    start=$(wc -c <"$LOG")
    "$@" >>"$LOG" 2>&1 && return
    echo "The end of $LOG:" >&2
    tail -c "+$((start + 1))" "$LOG" | tail -n 15 | sed 's/^/  /' >&2
    return 1
}

# --- Debian's packages ----------------------------------------------------------------------------

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        fail "Not a Debian system: install the equivalents of ${missing[*]} yourself."
    ((EUID == 0)) || command -v sudo >/dev/null ||
        fail "Packages are missing (${missing[*]}): run this as root, or install sudo."
    echo "Installing Debian packages: ${missing[*]} (log: $LOG)"
    trap allow_services EXIT
    forbid_services || fail "The packages could not be installed without starting their services."
    logged apt_get update || fail "Debian's package lists could not be fetched."
    logged apt_get install --no-install-recommends --yes "${missing[@]}" ||
        fail "The packages could not be installed: ${missing[*]}"
    if [[ " ${missing[*]} " == *" kamailio "* ]]; then
        keep_off kamailio kamailio
    fi
    if [[ " ${missing[*]} " == *" rtpengine-daemon "* ]]; then
        keep_off rtpengine-daemon rtpengine-daemon
    fi
    if [[ " ${missing[*]} " == *" nginx-light "* ]]; then
        keep_off nginx-common nginx
    fi
    if [[ " ${missing[*]} " == *" prometheus "* ]]; then
        keep_off prometheus prometheus
    fi
    allow_services
    trap - EXIT
}

missing_packages() {
    local package wanted=()
    usable_python || echo python3-venv
    [[ $PURPOSE == lint ]] && return
    compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || echo postgresql-15
    command -v curl >/dev/null || echo curl
    wanted=("${RUN_PACKAGES[@]}")
    [[ $PURPOSE == test ]] && wanted+=("${TEST_PACKAGES[@]}")
    for package in "${wanted[@]}"; do
        installed "$package" || echo "$package"
    done
}

installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

usable_python() {
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_get() {
    # needrestart would restart services of the machine's own.
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

forbid_services() {
    allow_services # in case an earlier installation was killed
    [[ ! -e $POLICY ]] || as_root mv "$POLICY" "$SAVED_POLICY"
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
    as_root mkdir -p "${CLUSTER_CONF%/*}"
    echo "create_main_cluster = false" | as_root tee "$CLUSTER_CONF" >/dev/null
}

allow_services() {
    if grep --quiet --no-messages --fixed-strings "$POLICY_MARK" "$POLICY"; then
        as_root rm "$POLICY"
    fi
    if [[ -e $SAVED_POLICY ]]; then
        as_root mv "$SAVED_POLICY" "$POLICY"
    fi
    if [[ -e $CLUSTER_CONF ]]; then
        as_root rm "$CLUSTER_CONF"
        as_root rmdir --ignore-fail-on-non-empty "${CLUSTER_CONF%/*}"
    fi
}

# The package $1 would start its service $2 with its own configuration at the next boot.
keep_off() {
    {
        # The helper obeys packages only.
        as_root env DPKG_MAINTSCRIPT_PACKAGE="$1" deb-systemd-helper disable "$2.service"
        as_root update-rc.d "$2" disable
    } >>"$LOG" 2>&1 || true
}

# --- Python ---------------------------------------------------------------------------------------

install_python() {
    local kind=dev lock=requirements-dev.lock
    if [[ $PURPOSE == run && $(stamped_kind) != dev ]]; then
        kind=run lock=requirements.lock
        if [[ -n ${OTEL_EXPORTER_OTLP_ENDPOINT:-} || $(stamped_kind) == traces ]]; then
            kind=traces lock=requirements-traces.lock
        fi
    fi
    [[ $(cat "$STAMP" 2>/dev/null) != "$(stamp "$kind" "$lock")" ]] || return 0
    usable_python || fail "Python 3.11 or newer is needed; python3 is $(python3 --version 2>&1)."
    [[ ! -e $VENV || -w $VENV ]] ||
        fail "$VENV belongs to another user: run this as that user, or remove it."
    echo "Installing the Python environment in .venv (log: $LOG)"
    fill_venv "$lock" || fail "The Python environment could not be installed."
    stamp "$kind" "$lock" >"$STAMP"
}

# The kind of environment that .venv holds: dev includes traces, which includes run, and none is ever
# taken back to less.
stamped_kind() {
    cut --delimiter=' ' --fields=1 "$STAMP" 2>/dev/null || true
}

# All that an installation depends on; scripts in .venv/bin hold the tree's path.
stamp() {
    echo "$1 $(cat "$2" pyproject.toml tests/softphone/package-lock.json | sha256sum | cut --delimiter=' ' --fields=1) $ROOT"
}

fill_venv() {
    local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --no-input)
    if [[ ! -x $VENV/bin/python ]] || { [[ -e $STAMP ]] && ! grep -qF " $ROOT" "$STAMP"; }; then
        logged python3 -m venv --clear "$VENV" || return 1
    fi
    rm -f "$STAMP"
    logged "${pip[@]}" install --require-hashes --requirement "$1" &&
        logged "${pip[@]}" install --no-deps --no-build-isolation --editable . || return 1
    # A browser's softphone, for the tests.
    [[ $1 != requirements-dev.lock ]] || logged "$VENV/bin/python" tests/softphone/install.py
}

main
