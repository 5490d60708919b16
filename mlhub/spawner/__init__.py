"""Spawners that claim GPUs before a server starts and give them back when it has ended."""
