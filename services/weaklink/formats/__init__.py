"""What Weaklink finds in the formats of the trade: STIX 2.1, OpenID Shared Signals (RISC), XARF; and indicators in.

Pure functions: records as dicts or SDK models in, JSON-ready dicts out. Needs `pip install 'weaklink[formats]'`.
An export for a party is made of what that party was told, and says nothing of another one.
"""
