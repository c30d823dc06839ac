"""Pin every dependency with its hashes: run.txt for those who run the program, dev.txt for those who work on it.

Reads pyproject.toml, the only place where a dependency is named, and asks pip-compile for the rest. It knows nothing of
where packages come from: no address enters the pins, so they hold with whatever index pip is told to use.

Run it on the oldest Python that the project supports. Whatever a package needs on older Pythons only is then in the
pins, and a newer Python installs a superset of what it needs.

    python3.11 -m venv build/pins
    build/pins/bin/pip install pip-tools
    build/pins/bin/python requirements/compile.py
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"
#: Without `--allow-unsafe` pip and setuptools stay out of the pins: a new environment brings its own.
OPTIONS = (
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    "--strip-extras",
    "--no-header",
    "--quiet",
    "--no-annotate",
    "--newline=lf",
)


def compile_pins(wanted: list[str], name: str, constraint: Path | None = None) -> Path:
    """Resolve ``wanted`` into the file ``name`` beside this one, in the versions of ``constraint``; return it."""
    target = HERE / name
    command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, f"--output-file={target}", "-"]
    lines = list(wanted) if constraint is None else [f"-c {constraint}", *wanted]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, stdout=subprocess.DEVNULL)
    target.write_text(f"# Written by requirements/compile.py from pyproject.toml; do not edit.\n{target.read_text()}")
    return target


def main() -> None:
    """Write both files; dev.txt holds what run.txt holds, in the same versions."""
    project = tomllib.loads(PROJECT.read_text())
    run = list(project["project"]["dependencies"])
    groups = project["dependency-groups"]
    pins = compile_pins(run + groups["build"], "run.txt")
    compile_pins([*run, *(line for name in sorted(groups) for line in groups[name])], "dev.txt", pins)


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        sys.exit("requirements/compile.py: run it with Python 3.11, see the top of the file")
    main()
