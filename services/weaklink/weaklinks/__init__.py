"""Pure functions: which measures cut most of a campaign with least harm."""
