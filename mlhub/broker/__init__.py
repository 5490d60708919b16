"""The use cases of the ledger: async, and through ports only."""
