"""How good detection and weak links are: worlds with truth, baselines, real rings, and the bars that must be held. `weaklink evaluate` runs it."""
