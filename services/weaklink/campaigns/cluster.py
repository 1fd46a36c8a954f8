"""Communities, member test, cluster test."""
