"""Requests by status, on every host of the demo that has a web server."""

logs = "nginx/access.log"


def filter(provider):
    return provider.readable(logs)


def map(lines):
    for line in lines:
        status = line.partition('" ')[2][:3]
        if status.isdigit():
            yield int(status), 1


reduce = "count"
