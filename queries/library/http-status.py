"""Requests by HTTP status, of an access log in the common or combined format."""

import re

logs = ["/var/log/nginx/access.log", "/var/log/apache2/access.log", "/var/log/httpd/access_log"]

#: The first quoted field is the request; servers write a quote in it as \", so that it cannot end it.
STATUS = re.compile(r'"(?:[^"\\]|\\.)*" ([1-5][0-9][0-9]) ')


def filter(provider):
    return any(provider.readable(log) for log in logs)


def map(lines):
    for line in lines:
        found = STATUS.search(line)
        if found:
            yield int(found.group(1)), 1


reduce = "count"
