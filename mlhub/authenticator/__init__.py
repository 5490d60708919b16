"""Sign-in: which providers the hub trusts, who may come in, and which user they are.

`configure_authentication` is the way in; the decisions are plain functions in `names`, `rules`,
`bindings` and `visitors`, and `MultiAuthenticator` is their thin skin for JupyterHub.
"""

from mlhub.authenticator.configure import configure_authentication
from mlhub.authenticator.multi import MultiAuthenticator

__all__ = ["MultiAuthenticator", "configure_authentication"]
