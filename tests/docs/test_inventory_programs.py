"""The programs of docs/how-to/inventories.md, run as they stand there beside a registry that answers as the real one.

The programs are the page's own; `consul`, `aws` and `kubectl` are small scripts on PATH that print what those print.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import read
from coordinator.table import Provider
from tests.docs.test_examples import PAGES, examples

PAGE = next(page for page in PAGES if page.name == "inventories.md")

CONSUL = """#!/bin/sh
case "$*" in
"catalog services") printf 'consul\\nnginx\\n' ;;
"catalog nodes -service=nginx")
    printf 'Node   ID        Address      DC\\n'
    printf 'web-1  8a9f3c2e  10.0.1.10    ams\\nweb-2  1b7d9e4f  10.0.1.11    ams\\n' ;;
"catalog nodes -service=consul") printf 'Node   ID        Address      DC\\nsrv-1  0c4e6a81  10.0.0.5     ams\\n' ;;
"catalog nodes")
    printf 'Node   ID        Address      DC\\nsrv-1  0c4e6a81  10.0.0.5     ams\\n'
    printf 'web-1  8a9f3c2e  10.0.1.10    ams\\nweb-2  1b7d9e4f  10.0.1.11    ams\\n' ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""

INSTANCES = {
    "Reservations": [
        {
            "ReservationId": "r-0598c7d356eba48d7",
            "Instances": [
                {
                    "InstanceId": "i-0abc1234def567890",
                    "InstanceType": "t3.medium",
                    "PrivateIpAddress": "172.31.5.17",
                    "Placement": {"AvailabilityZone": "eu-west-1a", "GroupName": "", "Tenancy": "default"},
                    "State": {"Code": 16, "Name": "running"},
                    "Tags": [{"Key": "Name", "Value": "-web 1 (blue)"}, {"Key": "app:role", "Value": "web"}],
                }
            ],
        },
        {
            "ReservationId": "r-0d3c2b1a09f8e7d6c",
            "Instances": [
                {
                    "InstanceId": "i-0fedcba9876543210",
                    "PrivateIpAddress": "172.31.9.4",
                    "Placement": {"AvailabilityZone": "eu-west-1b"},
                }
            ],
        },
    ]
}

KUBECTL = """#!/bin/sh
case "$*" in
"get pods --all-namespaces --field-selector=status.phase=Running --no-headers -o custom-columns="*) ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
printf 'shop          web-6d4cf56db6-x7x9z   node-a   web\\n'
printf 'kube-system   coredns-5d78c9869d-2   node-b   <none>\\n'
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, executable, and a folder on PATH for the commands that they ask."""
    for example in examples(PAGE.read_text(encoding="utf-8")):
        if example.command is None and example.text.startswith("#!"):
            (tmp_path / example.file).write_text(example.text, encoding="utf-8")
            (tmp_path / example.file).chmod(0o755)
    (tmp_path / "bin").mkdir()
    command(tmp_path, "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for tool in ("awk", "cat", "sh"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or f"/no/{tool}")
    # Nothing else: a real command of that name would ask a real cloud.
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def command(programs: Path, name: str, script: str) -> None:
    (programs / "bin" / name).write_text(script)
    (programs / "bin" / name).chmod(0o755)


def test_consul(programs: Path) -> None:
    """Its nodes by name, with their services as groups."""
    command(programs, "consul", CONSUL)
    assert read(str(programs / "consul.py")) == [
        Provider("srv-1", address="10.0.0.5", labels={"dc": "ams", "groups": "consul"}),
        Provider("web-1", address="10.0.1.10", labels={"dc": "ams", "groups": "nginx"}),
        Provider("web-2", address="10.0.1.11", labels={"dc": "ams", "groups": "nginx"}),
    ]


def test_ec2(programs: Path) -> None:
    """Its instances by a name that is one, through the bastion, with tags as labels; some have no tags."""
    script = (
        f"#!/bin/sh\n[ \"$1 $2\" = 'ec2 describe-instances' ] || exit 64\ncat <<'END'\n{json.dumps(INSTANCES)}\nEND\n"
    )
    command(programs, "aws", script)
    reach = {"user": "admin", "jump": "bastion.example.com"}
    assert [provider.to_wire() for provider in read(str(programs / "ec2.py"))] == [
        {
            "name": "web-1-blue-i-0abc1234def567890",
            "address": "172.31.5.17",
            "labels": {"tag_Name": "-web 1 (blue)", "tag_app_role": "web", "zone": "eu-west-1a"},
            **reach,
        },
        {"name": "i-0fedcba9876543210", "address": "172.31.9.4", "labels": {"zone": "eu-west-1b"}, **reach},
    ]


def test_kubernetes(programs: Path) -> None:
    """Its pods by namespace and name, through kubectl."""
    command(programs, "kubectl", KUBECTL)
    assert [provider.to_wire() for provider in read(str(programs / "pods.sh"))] == [
        {
            "name": "shop/web-6d4cf56db6-x7x9z",
            "address": "web-6d4cf56db6-x7x9z",
            "via": "kubectl exec -i web-6d4cf56db6-x7x9z -n shop --",
            "labels": {"namespace": "shop", "node": "node-a", "app": "web"},
            "reach": "command",
        },
        {
            "name": "kube-system/coredns-5d78c9869d-2",
            "address": "coredns-5d78c9869d-2",
            "via": "kubectl exec -i coredns-5d78c9869d-2 -n kube-system --",
            "labels": {"namespace": "kube-system", "node": "node-b", "app": ""},
            "reach": "command",
        },
    ]


@pytest.mark.parametrize(("program", "asked"), [("consul.py", "consul"), ("ec2.py", "aws"), ("pods.sh", "kubectl")])
def test_a_registry_that_refuses_is_told(programs: Path, program: str, asked: str) -> None:
    """The registry's own words reach the user, and half an answer is none."""
    command(programs, asked, "#!/bin/sh\necho 'permission denied: token expired' >&2\nexit 1\n")
    with pytest.raises(UsageError, match=r"failed with exit status 1: .*permission denied: token expired"):
        read(str(programs / program))
