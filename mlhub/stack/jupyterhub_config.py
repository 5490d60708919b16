"""The configuration of the stack's hub: ours first, then how this run of the stack is wired."""

import os

from mlhub.hub_config import configure
from mlhub.stack.hub_wiring import admit, from_environment, wire

c = get_config()  # noqa: F821 - JupyterHub defines it where it reads this file
home, wiring = from_environment()
admit(c, home, wiring)
configure(c, os.environ["MLHUB_CONFIG"])
wire(c, home, wiring)
