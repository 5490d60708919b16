"""The hub of the quota service's tests: real sign-in, roles as mlhub gives them."""

import json
import os
import sys

options = json.loads(os.environ["TEST_HUB"])
tokens = json.loads(os.environ["TEST_TOKENS"])
directory = options["directory"]
access = "access:services!service=quota"

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = options["url"]
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{options['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{options['proxy_api_port']}"
c.ConfigurableHTTPProxy.command = options["proxy_command"]
c.ConfigurableHTTPProxy.pid_file = f"{directory}/proxy.pid"
c.JupyterHub.db_url = f"sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{directory}/cookie_secret"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["TEST_PASSWORD"]
c.SharedPasswordAuthenticator.admin_password = os.environ["TEST_ADMIN_PASSWORD"]
c.Authenticator.admin_users = {"root-ada"}
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{directory}/homes/{{username}}"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}
c.Spawner.default_url = "/api/status"
c.Spawner.http_timeout = c.Spawner.start_timeout = 120
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", access]
c.JupyterHub.extra_user_scopes = {access}
c.JupyterHub.custom_scopes = {
    "custom:mlhub:act-for-users": {"description": "name another user"},
    "custom:mlhub:operate": {"description": "see all, release anyone's lease"},
}
c.JupyterHub.services = [
    {
        "name": "quota", "api_token": tokens["quota"], "url": options["service_url"],
        "oauth_client_id": "service-quota", "oauth_no_confirm": True,
    },
    *({"name": name, "api_token": tokens[name]} for name in ("spawner", "operator", "scraper")),
    {"name": "stranger", "api_token": tokens["stranger"]},
    {"name": "tests", "api_token": tokens["tests"]},
]  # fmt: skip
c.JupyterHub.load_roles = [
    {
        "name": "quota", "services": ["quota"],
        "scopes": ["list:users", "read:users:groups", "read:users:name", "read:servers",
                   "start:servers", "delete:servers"],
    },
    {"name": "spawner", "services": ["spawner"], "scopes": [access, "custom:mlhub:act-for-users"]},
    {"name": "operator", "services": ["operator"], "scopes": [access, "custom:mlhub:operate"]},
    {"name": "scraper", "services": ["scraper"], "scopes": [access, "read:metrics"]},
    {
        "name": "tests", "services": ["tests"],
        "scopes": ["admin:users", "admin:servers", "tokens", "admin:groups", "read:hub"],
    },
]  # fmt: skip
