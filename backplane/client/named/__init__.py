"""Named queries as processes: what one says to those who look at it, and how it is started, found and ended."""
