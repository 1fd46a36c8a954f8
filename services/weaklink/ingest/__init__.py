"""Stage: party events to links and activity, exactly once."""
