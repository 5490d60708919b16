"""The one-machine stack: what `mlhub up`, `down` and `status` start, watch, stop and report."""
