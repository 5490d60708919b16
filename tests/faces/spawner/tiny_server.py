"""The smallest single-user server: answers the hub's check, and tells its owner what it is.

It needs Python alone, so that any OS user can run it with the system's own.
"""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

CHILD = "import time; time.sleep(300)"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        facts = {
            "environment": dict(os.environ),
            "uid": os.geteuid(),
            "groups": os.getgroups(),
            "cwd": os.getcwd(),  # noqa: PTH109 - as a shell would say it
            "pid": os.getpid(),
            "args": sys.argv[1:],
            "children": [child.pid for child in children],
        }
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


children = []
if os.environ.get("TINY_CHILDREN"):
    # As kernels are: in sessions of their own.
    children.append(subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True))
    children.append(subprocess.Popen([sys.executable, "-c", CHILD]))
address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
HTTPServer((address.hostname, address.port), Handler).serve_forever()
