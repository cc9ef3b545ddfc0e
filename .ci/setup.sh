# Sets up what the Makefile asks for: `sh .ci/setup.sh runtime|dev|engines|providers`.
# Does nothing that is already done; installs Debian packages only as root.
set -eu

say() { printf '%s\n' "$*" >&2; }

fail() { say "$*"; exit 1; }

debian_root() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; }

# Debian starts what it installs. While this stands, no server of the tests takes a port of this machine (policy-rc.d(8)).
start_nothing() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
}

install() {
    say "Installing $* ..."
    start_nothing
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update || say "apt-get update failed; trying with the lists there are."
    apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" >/dev/null
}

pip_install() {
    "$1/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$2"
}

runtime() {
    for python in "$PYTHON" python3 python3.14 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
        python=
    done
    [ "$python" ] || fail "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3."

    # Debian's python3 comes without what makes a virtual environment.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        ! debian_root || install python3-venv
        "$python" -c 'import ensurepip, venv' || fail "$python cannot make a virtual environment: install python3-venv."
    fi

    say "Setting up .venv with $("$python" --version) ..."
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
    pip_install .venv requirements.txt
    touch .venv/runtime.stamp
}

dev() {
    say "Adding what checks and tests need ..."
    pip_install .venv requirements-dev.txt
    touch .venv/dev.stamp
}

missing() {
    .venv/bin/python tests/engines.py
    [ -x /usr/sbin/pgbouncer ] || echo pgbouncer
    [ -x /usr/sbin/nginx ] || echo nginx-light
    [ -x /usr/sbin/haproxy ] || echo haproxy
    [ -x /usr/bin/caddy ] || echo caddy
    [ -x /usr/sbin/apache2 ] || echo apache2
    [ -x /usr/bin/promtool ] || echo prometheus
    [ -x /usr/bin/systemd-analyze ] || echo systemd
}

# What is still missing afterwards, its tests report as not run, or fail with CI=true; no Chromium fails here.
engines() {
    packages=$(missing)
    if [ "$packages" ] && debian_root; then
        # shellcheck disable=SC2086 # one word each
        install $packages || say "Installing failed."
        packages=$(missing)
    fi
    if echo "$packages" | grep -qx chromium; then
        .venv/bin/python -m playwright install chromium || fail "The tests need a browser: install Chromium or Chrome."
    fi
}

# Node comes as a wheel: Debian's is older than what runs on it, and needs root. What fails is told as above.
providers() {
    say "Adding the identity providers that the tests sign in at, and html-validate ..."
    .venv/bin/python -m venv --clear tests/idp/.venv &&
        pip_install tests/idp/.venv tests/idp/requirements.txt &&
        (cd tests/idp && .venv/bin/npm --silent ci) &&
        touch tests/idp/.venv/stamp || say "Installing failed."
}

"$@"
