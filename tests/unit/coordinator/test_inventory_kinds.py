"""An inventory of any kind is known by what it looks like, and read by the one that knows it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import file_sd, files, process, read
from coordinator.table import Provider

SD = '[{"targets": ["web1:9100"], "labels": {"role": "web"}}]'


def written(path: Path, text: str | bytes, *, executable: bool = False) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    if executable:
        path.chmod(0o755)
    return str(path)


def names(source: str) -> list[str]:
    return [provider.name for provider in read(source)]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("hosts.json", SD, ["web1"]),
        ("hosts", SD, ["web1"]),
        ("hosts", "\ufeff" + SD, ["web1"]),
        ("hosts.yml", "- targets: [web1, 'web2:9100']\n  labels: {ssh_port: '22'}\n", ["web1", "web2"]),
        ("hosts.yaml", "# ours\n---\n- targets: [web1]\n", ["web1"]),
        ("hosts", "# ours\n- targets: [web1]\n", ["web1"]),
        ("hosts.yml", SD, ["web1"]),
        ("hosts", "web[1-2]\n\n# databases\ndb1 # the old one\r\nweb2\n", ["web1", "web2", "db1"]),
        ("hosts", "\ufeffweb1\n2001:db8::1\n", ["web1", "2001:db8::1"]),
    ],
)
def test_a_text_is_known_by_its_name_and_its_beginning(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    """JSON, YAML that is a list, and lists of names."""
    assert names(written(tmp_path / name, text)) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts", "[web]\nweb1\n"),
        ("hosts", "web1 ansible_host=10.0.0.1\n"),
        ("hosts", "web[01:20].example.com\n"),
        ("hosts", "; as Ansible comments\nweb1\n"),
        ("hosts.yml", "all:\n  hosts:\n    web1:\n"),
        ("hosts", "---\nall:\n  hosts: {web1: }\n"),
    ],
)
def test_what_is_ansibles_goes_to_ansible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """Without Ansible, the sentence says what is missing and what else would do."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="ansible-inventory, which is not installed: install ansible-core, or"):
        read(written(tmp_path / name, text))
    with pytest.raises(UsageError, match="not installed"):
        read(f"ansible:{tmp_path / name}")
    with pytest.raises(UsageError, match="not installed"):
        read(str(tmp_path))


def test_a_program_prints_the_inventory(tmp_path: Path) -> None:
    """It runs where the user is; a relative key lies beside the program."""
    text = """#!/bin/sh\nprintf '[{"targets": ["%s"], "labels": {"ssh_key": "id"}}]' "${PWD##*/}"\n"""
    source = written(tmp_path / "hosts.sh", text, executable=True)
    (found,) = read(source)
    assert found == Provider(Path.cwd().name, key=str(tmp_path / "id"))
    assert read(f"exec:{source}") == [found]


def test_what_cannot_run_is_no_program(tmp_path: Path) -> None:
    """Some file systems mark everything as executable."""
    assert names(written(tmp_path / "hosts.json", SD, executable=True)) == ["web1"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo to stdout; echo 'no \x1b[31mtoken' >&2; exit 3", "failed with exit status 3: no \x1b[31mtoken"),
        ("exit 4", "exit status 4, without a word on stderr"),
        ("kill -9 $$", "killed by signal 9"),
        ("echo nothing here >&2", "printed no inventory: nothing here"),
        ("echo '[{'", "(its output):2: no JSON"),
        ("""echo '{"_meta": {"hostvars": {}}}'""", "is in Ansible's form: name it ansible:FILE"),
        ("""echo '[{"targets": ["-oProxyCommand=x"]}]'""", "entry 1, target 1: '-oProxyCommand=x' is no name"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path: Path, script: str, says: str) -> None:
    """Its own last words are in the sentence."""
    source = written(tmp_path / "hosts.sh", f"#!/bin/sh\n{script}\n", executable=True)
    with pytest.raises(UsageError) as caught:
        read(source)
    assert says in str(caught.value)
    assert source in str(caught.value)


def test_a_program_without_its_interpreter_is_told_apart_from_none(tmp_path: Path) -> None:
    """The system says "no such file" of both."""
    with pytest.raises(UsageError, match="the interpreter in its first line does not exist"):
        read(written(tmp_path / "hosts.sh", "#!/no/such/shell\n", executable=True))
    with pytest.raises(UsageError, match="it does not exist"):
        read(f"exec:{tmp_path / 'none'}")


def test_a_program_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    """The deadline holds for what it started too, and what it had said is told."""
    pid = tmp_path / "pid"
    script = f"echo waiting for the registry >&2; sleep 600 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"
    with pytest.raises(UsageError, match=r"had not ended after 1 s and was stopped: waiting for the registry"):
        process.output(["/bin/sh", "-c", script], "hosts.sh", deadline_s=1)
    child = int(pid.read_text())
    deadline = time.monotonic() + 20
    while _alive(child):
        assert time.monotonic() < deadline, "the program's child outlived it"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """True until it is dead; whoever inherits it reaps it in its own time."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, timeout=20).stdout
    return bool(shown.strip()) and shown[0] != "Z"


def test_a_program_that_floods_is_stopped() -> None:
    """Its output has a bound."""
    with pytest.raises(UsageError, match="yes printed over 1 MB, which is no inventory, and was stopped"):
        process.output(["yes"], "yes", most=1 << 20)


def test_a_program_that_complains_at_length_is_cut_to_its_end() -> None:
    """The end of a traceback is what matters, and stderr has a bound of its own."""
    script = "i=0; while [ $i -lt 9000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1"
    with pytest.raises(process.CommandFailed) as caught:
        process.output(["/bin/sh", "-c", script], "x")
    assert str(caught.value).endswith("line 8999")
    assert len(str(caught.value)) < 600
    assert len(caught.value.errors) <= 64 << 10


def test_a_pipe_is_read_once() -> None:
    """``-i <(command)`` gives a pipe, which cannot be looked at first and read afterwards."""
    first, second = os.pipe()
    os.write(second, SD.encode())
    os.close(second)
    try:
        assert names(f"/dev/fd/{first}") == ["web1"]
    finally:
        os.close(first)


def test_a_pipe_that_says_nothing_has_a_deadline() -> None:
    """Whoever should write may never come."""
    first, second = os.pipe()
    try:
        with pytest.raises(UsageError, match="has not ended in time"):
            files.content(f"/dev/fd/{first}", deadline_s=0.05)
    finally:
        os.close(first)
        os.close(second)


def test_what_has_no_end_is_no_inventory() -> None:
    """There is a bound."""
    with pytest.raises(UsageError, match="over 1 MB is no inventory"):
        files.content("/dev/zero", most=1 << 20)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("hosts", "web1\nweb1 web2\n", "hosts:2: 'web1 web2' is no set of names"),
        ("hosts", "web[1-\n", "hosts:1: "),
        ("hosts", "\n\ndeploy@web1\n", "hosts:3: 'deploy@web1': --user names the login"),
        ("hosts", "web1:2222\n", "hosts:1: 'web1:2222': a port is written in ssh_config"),
        ("hosts", "-oProxyCommand=x\n", "hosts:1: '-oProxyCommand=x' is no name: it must not begin with '-'"),
        ("hosts", "web*\n", "hosts:1: 'web*': patterns choose among"),
        ("hosts", "@slurm:$(id)\n", "hosts:1: '@slurm:$(id)': a group's name holds"),
        ("hosts", "a;b\n", "hosts:1: 'a;b' is no name: it must not hold ';'"),
        ("hosts", b"web1\nweb\xff\n", "hosts:2: no UTF-8 text"),
        ("hosts", "# nobody\n", "hosts names nobody"),
        ("hosts.yml", "- targets: [a\n", "hosts.yml:2: no YAML: "),
        ("hosts.yml", "- targets: [a]\n  labels: {ssh_port: 22}\n", 'entry 1: "labels" must be a map of texts'),
        ("hosts.yml", "- targets: !!python/object:os.system [a]\n", "hosts.yml:1: no YAML"),
        ("hosts.yml", "", "must be a list of entries"),
        ("hosts.yml", "- " * 100_000 + "a", "hosts.yml:1: nested too deep"),
        ("hosts.yml", "[" * 100_000 + "]" * 100_000, "nested too deep"),
        ("hosts.json", "[" * 200_000, "nested too deep"),
        ("hosts.json", b'[{"targets": ["\xff"]}]', "no UTF-8 text"),
    ],
)
def test_a_broken_inventory_gets_a_sentence_with_the_place(
    tmp_path: Path, name: str, text: str | bytes, says: str
) -> None:
    """File, line or entry, and what to do."""
    with pytest.raises(UsageError) as caught:
        read(written(tmp_path / name, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["", "ansible:", "hosts:", "exec:", "file_sd:", "~nobody-here/hosts", "/no/such"])
def test_a_source_that_names_nothing_is_refused(source: str) -> None:
    """Before anything is run."""
    with pytest.raises(UsageError):
        read(source)


def test_ssh_config_names_its_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concrete names of Host lines, in their order, through Include; patterns and Match name nobody."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    written(tmp_path / ".ssh" / "more", "HOST inc1 !not\n")
    config = written(
        tmp_path / ".ssh" / "config",
        "Host web1\nHost=gate *.example.com db? # comment\n  Hostname elsewhere\nMatch host x\n  User y\n"
        f'include more\nInclude {tmp_path}/none-*\n\thost "quoted" web1\n',
    )
    assert names("ssh_config:") == names(f"ssh_config:{config}") == ["web1", "gate", "inc1", "quoted"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Host *\n  User x\n", "names nobody"),
        ("\nHost -oProxyCommand=x\n", "config:2: '-oProxyCommand=x' is no name"),
        ('Host "a\n', "config:1: No closing quotation"),
        ("Include {self}\n", "Include 16 files deep"),
    ],
)
def test_a_broken_ssh_config_gets_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    """With file and line."""
    config = tmp_path / "config"
    with pytest.raises(UsageError) as caught:
        read("ssh_config:" + written(config, text.replace("{self}", str(config))))
    assert says in str(caught.value)


def test_yaml_aliases_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of text may repeat a list as often as it likes; the targets are counted before they are met."""
    monkeypatch.setattr(file_sd, "MOST_TARGETS", 1000)
    lists = "- targets: &t [" + ", ".join(f"h{i}" for i in range(90)) + "]\n"
    assert len(read(written(tmp_path / "hosts.yml", lists + "- targets: *t\n" * 10))) == 90
    with pytest.raises(UsageError, match="entry 12: over 1000 targets"):
        read(written(tmp_path / "hosts.yml", lists + "- targets: *t\n" * 11))
