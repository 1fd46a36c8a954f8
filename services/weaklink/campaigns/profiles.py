"""Account profiles: the fold of activity."""
