#!/bin/sh
# Brings what tests of the real thing want (OpenSSH's server and client, strace), where that takes no password.
# Exit status 1: something is missing; it says what.
#
# The tests start sshds of their own on loopback. So the package is wanted, its service is not: nothing may be started
# now (policy-rc.d refuses it for as long as the installation takes) nor at the next boot (a service that came with this
# installation is disabled again). Where everything is here already, this does nothing at all.
set -eu

PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

missing=
have sshd || missing="$missing openssh-server"
have ssh || missing="$missing openssh-client"
[ "$(uname)" != Linux ] || have strace || missing="$missing strace"
[ -n "$missing" ] || exit 0

if ! have apt-get; then
    say "not here:$missing; the tests that need it are left out"
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    say "not here:$missing; the tests that need it are left out. This brings it:"
    say "    sudo apt-get install -y --no-install-recommends$missing"
    exit 1
fi

say "installing$missing for the tests; no service is started"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq"
install="$apt install -y --no-install-recommends$missing"
# The lists of a fresh image are empty or stale: they are fetched only if it does not work without.
if ! $install >/dev/null 2>&1 && ! { $apt update >/dev/null && $install >/dev/null; }; then
    say "could not be installed:$missing; the tests that need it are left out"
    exit 1
fi
case $missing in
*openssh-server*)
    if have systemctl; then
        $as_root systemctl --quiet disable ssh.service ssh.socket >/dev/null 2>&1 || true
    fi
    ;;
esac
