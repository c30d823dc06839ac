#!/bin/sh
# Brings OpenSSH's server for the tests that want a real one, where that takes no password. Exit status 1: it is not here.
#
# The tests start sshds of their own on loopback. So the package is wanted, its service is not: nothing may be started
# now (policy-rc.d refuses it for as long as the installation takes) nor at the next boot (a service that came with this
# installation is disabled again). Where sshd is here already, this does nothing at all.
set -eu

PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

! command -v sshd >/dev/null 2>&1 || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    say "sshd is not here: the tests that need it are left out"
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    say "sshd is not here: the tests that need it are left out. This brings it:"
    say "    sudo apt-get install -y --no-install-recommends openssh-server"
    exit 1
fi

say "installing openssh-server for the tests; its service is not started"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq"
# The lists of a fresh image are empty or stale: fetch them only if it does not work without.
$install install -y --no-install-recommends openssh-server >/dev/null 2>&1 ||
    { $install update >/dev/null && $install install -y --no-install-recommends openssh-server >/dev/null; } ||
    { say "openssh-server could not be installed: the tests that need it are left out"; exit 1; }
if command -v systemctl >/dev/null 2>&1; then
    $as_root systemctl --quiet disable ssh.service ssh.socket >/dev/null 2>&1 || true
fi
