#!/bin/sh
# `make test`: every check, then the tests twice, and at the end what was left out.
#
# A step that fails does not stop the others, so that one run tells everything; the exit status is 0 if none failed.
set -u

cd "$(dirname "$0")/.."
failed=
left_out=

step() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" || failed="$failed, $name"
}

sh tests/rigs/tools.sh || left_out=yes

step "check" make --no-print-directory -k check
step "tests with Linux-only calls hidden" make --no-print-directory portable
step "all tests" make --no-print-directory pytest

[ -z "$left_out" ] || printf '\ntools are missing: tests were left out, and the list of skipped tests above says which and why\n'
if [ -n "$failed" ]; then
    printf '\nfailed: %s\n' "${failed#, }"
    exit 1
fi
