"""The web page for investigators and parties: campaigns, evidence, actions, scorecards, lag."""
