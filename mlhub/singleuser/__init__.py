"""What runs inside a user's own server: tiles, report of first use, first files.

Nothing here imports the rest of mlhub or the hub, so that it also runs in an environment
that holds a notebook server and no hub.
"""
