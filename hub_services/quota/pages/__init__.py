"""The service's pages for people: path below the service's prefix, and handler."""

from __future__ import annotations

from typing import Final

from hub_services.quota.page import Page
from hub_services.quota.pages.admin import Admin
from hub_services.quota.pages.holders import Holders
from hub_services.quota.pages.mine import Extend, Leave, Mine, Release
from hub_services.quota.pages.switching import Switch
from hub_services.quota.pages.waiting import Waiting

PAGES: Final[tuple[tuple[str, type[Page]], ...]] = (
    ("", Mine),
    (r"waiting/(?P<claim_id>[\w-]{1,64})", Waiting),
    ("who", Holders),
    ("admin", Admin),
    (r"leases/(?P<lease_id>[\w-]{1,64})/release", Release),
    (r"leases/(?P<lease_id>[\w-]{1,64})/extend", Extend),
    (r"claims/(?P<claim_id>[\w-]{1,64})/leave", Leave),
    (r"claims/(?P<claim_id>[\w-]{1,64})/switch", Switch),
)
