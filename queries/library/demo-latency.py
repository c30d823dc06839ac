"""Milliseconds by path, from the applications' logs of the demo."""

logs = "app/app.log"
slower_than = 0.0


def map(lines):
    for line in lines:
        fields = dict(part.split("=", 1) for part in line.split())
        if float(fields["ms"]) > slower_than:
            yield fields["path"], float(fields["ms"])


reduce = ["count", "mean", "max"]
