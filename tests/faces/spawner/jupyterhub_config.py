"""The tests' hub: three lines for mlhub, and what a test says in SPAWNER_TEST (JSON)."""

import json
import os

from mlhub.hub_config import configure

options = json.loads(os.environ["SPAWNER_TEST"])
directory = options["directory"]

c = get_config()  # noqa: F821
own = not options["quota_url"]
configure(c, options["settings"], run_services=own, addresses={"quota": options["address"]})

c.JupyterHub.bind_url = options["url"]
c.JupyterHub.hub_bind_url = options["hub_url"]
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = options["proxy_api_url"]
c.JupyterHub.db_url = f"sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{directory}/cookie_secret"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["TEST_HUB_PASSWORD"]
c.Authenticator.allow_all = True
quota = {"name": "quota", "url": options["quota_url"], "api_token": os.environ["TEST_QUOTA_TOKEN"]}
c.JupyterHub.services.extend([] if own else [quota])
c.JupyterHub.services.append({"name": "tests", "api_token": os.environ["TEST_HUB_TOKEN"]})
scopes = ["admin:users", "admin:servers", "tokens", "access:servers", "read:hub", "read:metrics"]
c.JupyterHub.load_roles.append({"name": "tests", "services": ["tests"], "scopes": scopes})
if options["cmd"]:
    c.Spawner.cmd = options["cmd"]
c.Spawner.environment = options["environment"]
c.Spawner.poll_interval = 2
for section, rows in options["config"].items():
    c[section].update(rows)
