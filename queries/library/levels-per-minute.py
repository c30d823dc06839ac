"""Log lines by minute and severity, of any log whose lines begin with a date such as 2026-11-20 09:00:00."""

import re

logs = "/var/log/syslog"
# Only lines of these severities; none means all of them.
only = []

MINUTE = re.compile(r"\D{0,2}(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)")
LEVEL = re.compile(r"\b(trace|debug|info|notice|warn|error|crit|alert|emerg|fatal)(?:ing|ical|ency)?\b", re.IGNORECASE)


def filter(provider):
    return provider.readable(logs)


def map(lines):
    for line in lines:
        minute = MINUTE.match(line)
        if minute:
            found = LEVEL.search(line, minute.end())
            level = found.group(1).lower() if found else "none"
            if not only or level in only:
                yield (minute.group(1) + " " + minute.group(2), level), 1


reduce = "count"
