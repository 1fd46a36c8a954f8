"""Running Weaklink: topics, lag, audit, local broker."""
