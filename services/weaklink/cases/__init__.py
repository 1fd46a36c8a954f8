"""Case work: what the campaigns topic and the ledger say of campaigns, accounts and actions, for the terminal and the console."""
