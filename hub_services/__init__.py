"""The processes that run beside the hub; each imports mlhub, never another service."""
