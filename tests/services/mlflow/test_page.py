"""MLflow's own page in a real browser, behind the hub's sign-in and its XSRF check."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response

from mlhub.singleuser.environment import MLFLOW_SCOPE
from tests.singleuser.hub import Hub
from tests.singleuser.people import signed_in

NOT_OFFERED = re.compile(r"(403|404) GET .*/(assistant/.*|users/current)$")
"""What MLflow's page asks in case it is there: its assistant, and its own sign-in."""

pytestmark = [pytest.mark.stack, pytest.mark.browser]


@pytest.fixture(scope="module")
def run_of_ada(hub: Hub, mlflow_url: str) -> str:
    headers = {"Authorization": f"Bearer {hub.token_of('ada', [MLFLOW_SCOPE])}"}
    api = f"{mlflow_url}/api/2.0/mlflow"
    body = {"experiment_id": "0", "run_name": "seen in a browser", "start_time": 1795238000000}
    answer = httpx.post(f"{api}/runs/create", json=body, headers=headers, timeout=60)
    return str(answer.json()["run"]["info"]["run_id"])


def failures(page: Page) -> list[str]:
    """Answers of the service that were refusals or failures, as they come."""
    seen: list[str] = []

    def note(response: Response) -> None:
        if "/services/mlflow/" in response.url and response.status >= 400:
            seen.append(f"{response.status} {response.request.method} {response.url}")

    page.on("response", note)
    return seen


def test_a_run_is_seen_and_changed_in_mlflows_page(
    hub: Hub, chromium: Browser, mlflow_url: str, run_of_ada: str
) -> None:
    with signed_in(chromium, hub, "ada") as page:
        failed = failures(page)
        page.goto(f"{mlflow_url}/#/experiments/0/runs/{run_of_ada}")
        page.get_by_text("seen in a browser").first.wait_for()
        page.get_by_text("ada", exact=True).first.wait_for()
        written = page.evaluate(
            """async (run) => (await fetch("ajax-api/2.0/mlflow/runs/set-tag", {method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify({run_id: run, key: "from", value: "page"})})).status""",
            run_of_ada,
        )
        assert written == 200
        assert [answer for answer in failed if not NOT_OFFERED.match(answer)] == []


def test_a_page_elsewhere_on_the_hub_cannot_use_the_visitors_session(
    hub: Hub, chromium: Browser, mlflow_url: str, run_of_ada: str
) -> None:
    """Another user's server is on the same origin: it may not act in the visitor's name."""
    with signed_in(chromium, hub, "ada") as page:
        page.goto(f"{mlflow_url}/")
        page.get_by_text("Experiments").first.wait_for()
        page.goto(f"{hub.url}/hub/token")
        ask = """async ([url, options]) => (await fetch(url, options)).status"""
        tag = {"run_id": run_of_ada, "key": "from", "value": "elsewhere"}
        write = {"method": "POST", "body": json.dumps(tag)}
        url = f"{mlflow_url}/ajax-api/2.0/mlflow/runs/set-tag"
        assert page.evaluate(ask, [url, write]) == 401
        read = f"{mlflow_url}/ajax-api/2.0/mlflow/runs/get?run_id={run_of_ada}"
        assert page.evaluate(ask, [read, {}]) == 401
        with_foreign_token = {**write, "headers": {"X-Xsrftoken": "made up"}}
        assert page.evaluate(ask, [url, with_foreign_token]) == 401
