"""The configuration of the stack's hub: mlhub first, then how this run of the stack is wired."""

import os

from mlhub.configuration import load
from mlhub.hub_config import configure
from mlhub.stack import sign_in
from mlhub.stack.hub_wiring import from_environment, wire

c = get_config()  # noqa: F821 - JupyterHub defines it where it reads this file
home, wiring = from_environment()
sign_in.set_up(c, home, wiring, load().authentication)
configure(c, os.environ["MLHUB_CONFIG"])
wire(c, home, wiring)
