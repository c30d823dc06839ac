"""Failed logins over SSH, by the address that they came from."""

import re

logs = ["/var/log/auth.log", "/var/log/secure"]

#: The name of a user is whatever the caller sent, " from " included: the last one counts, and that is sshd's own.
FAILED = re.compile(r"sshd.*?: (?:message repeated (\d+) times: \[ )?Failed \S+ for .* from (\S+) port \d+")


def filter(provider):
    return any(provider.readable(log) for log in logs)


def map(lines):
    for line in lines:
        found = FAILED.search(line)
        if found:
            yield found.group(2), int(found.group(1) or 1)


reduce = "sum"
