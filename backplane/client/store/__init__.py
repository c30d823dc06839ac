"""What outlives a client: named queries, each in a directory of its own below the user's state directory."""
