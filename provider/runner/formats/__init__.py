"""Formats of logs. What a format is stands in `form`; the other modules are its kinds, which travel with plans."""
