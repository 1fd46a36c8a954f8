"""Links as sorted runs."""
