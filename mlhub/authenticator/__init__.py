"""Sign-in: which providers the hub trusts, who may come in, and which user they are.

`make_plan` and `configure_authentication` are the way in; the decisions are plain functions in
`names`, `rules`, `bindings` and `visitors`, and `multi.MultiAuthenticator` is their thin skin for
JupyterHub. It is not imported here: who only checks settings does without the hub.
"""

from mlhub.authenticator.configure import configure_authentication, make_plan

__all__ = ["configure_authentication", "make_plan"]
