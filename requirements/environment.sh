#!/bin/sh
# Makes .venv, an environment of this project's own, from hashed pins.
#
#   environment.sh run    what the program needs
#   environment.sh dev    and what its tests and linters need
#
# A stamp remembers the pins that .venv was made from, so this returns at once until they change. It installs nothing
# outside of the checkout: where the machine lacks something, it prints the command that brings it, and stops.
set -eu

cd "$(dirname "$0")/.."
wanted=$1
venv=.venv
oldest=11

say() { printf '%s\n' "$*" >&2; }

# What .venv depends on: the pins, the project's own metadata, and the place that scripts in it point to.
pins() { { pwd; cat "requirements/$1.txt" pyproject.toml; } | cksum; }

made() { [ -f "$venv/.pins-$1" ] && [ "$(cat "$venv/.pins-$1")" = "$(pins "$1")" ] && "$venv/bin/python" -c '' 2>/dev/null; }

recent() { "$1" -c "import sys; sys.exit(sys.version_info < (3, $oldest))" 2>/dev/null; }

# The first Python that is new enough and can make environments; $bare is one that is new enough and cannot.
find_python() {
    bare=
    for each in python3 python3.11 python3.12 python3.13 python3.14; do
        command -v "$each" >/dev/null 2>&1 && recent "$each" || continue
        if "$each" -c 'import ensurepip, venv' 2>/dev/null; then
            python=$each
            return 0
        fi
        bare=${bare:-$each}
    done
    return 1
}

# The exact command that installs these packages here.
apt_install() {
    sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo "
    # A fresh image has no package lists yet.
    set -- "${sudo}apt-get install -y $*"
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || set -- "${sudo}apt-get update && $1"
    say "    $1"
}

give_up() {
    if [ -n "$bare" ]; then
        version=$("$bare" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        say "$version is here, but it cannot make environments. On Debian and Ubuntu this brings what it lacks:"
        apt_install "$version-venv"
    else
        package=python3
        for each in python3.14 python3.13 python3.12 python3.11; do
            apt-cache show "$each-venv" >/dev/null 2>&1 && package=$each && break
        done
        say "Python 3.$oldest or newer is needed, and none is on PATH. On Debian and Ubuntu this brings one:"
        apt_install "$package" "$package-venv"
    fi
    exit 1
}

# Everything that `run` needs is in `dev` too.
if made "$wanted" || { [ "$wanted" = run ] && made dev; }; then
    exit 0
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if ! recent "$venv/bin/python"; then
    find_python || give_up
    say "setting up $venv with $("$python" -V), once:"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
say "  $(grep -c '==' "requirements/$wanted.txt") packages, held to their hashes"
"$venv/bin/python" -m pip install -qq --require-hashes --no-deps -r "requirements/$wanted.txt"
say "  this checkout"
"$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable .
pins "$wanted" >"$venv/.pins-$wanted"
say "  done"
