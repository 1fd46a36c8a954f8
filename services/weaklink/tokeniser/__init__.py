"""The consortium's tokeniser: keeps the keys, and answers parties within their limits. The client is `weaklink.partner.remote`."""
