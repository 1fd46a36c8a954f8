"""SDK for parties: publish events, receive actions, answer with receipts."""
