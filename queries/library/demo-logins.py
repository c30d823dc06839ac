"""Failed logins by address, on every host of the demo."""

logs = "auth.log"


def map(lines):
    for line in lines:
        if "Failed password" in line:
            yield line.split(" from ")[1].split()[0], 1


reduce = "count"
