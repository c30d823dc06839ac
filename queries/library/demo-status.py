"""Requests by status, on every host of the demo that has a web server."""

logs = "nginx/access.log"


def filter(provider):
    return provider.readable(logs)


def map(lines):
    for line in lines:
        yield int(line.split('"')[2].split()[0]), 1


reduce = "count"
