"""Weaklink's join beside other engines: one job on one broker, one engine after another, each output compared with an independent calculation."""
