"""The async client of the quota service; what the spawners and the command line use."""

from mlhub.client.answers import (
    ClaimAnswer,
    Finding,
    LeasePage,
    LeaseView,
    MeView,
    RenewalView,
    TicketView,
    WaitingView,
)
from mlhub.client.broker_client import BrokerClient
from mlhub.client.errors import AskedTooOften, NoToken, Problem, Refused, ServiceUnavailable
from mlhub.client.stock import DeviceView, FlavorView, InventoryView, NodeView
from mlhub.client.transport import Patience
from mlhub.client.wishes import Wish

__all__ = [
    "AskedTooOften",
    "BrokerClient",
    "ClaimAnswer",
    "DeviceView",
    "Finding",
    "FlavorView",
    "InventoryView",
    "LeasePage",
    "LeaseView",
    "MeView",
    "NoToken",
    "NodeView",
    "Patience",
    "Problem",
    "Refused",
    "RenewalView",
    "ServiceUnavailable",
    "TicketView",
    "WaitingView",
    "Wish",
]
