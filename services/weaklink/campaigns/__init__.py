"""Stage: activity and shared identifiers to campaigns and decisions."""
