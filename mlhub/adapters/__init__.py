"""One technology per module, each behind a port of the broker; none knows another."""
