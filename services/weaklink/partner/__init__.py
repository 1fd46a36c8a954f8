"""What a party needs: publish events, get actions, answer them. Works with the base install.

from weaklink.partner import ApiUsage, LocalTokeniser, WeaklinkClient

with WeaklinkClient("router-a", kafka, tokeniser=LocalTokeniser.load(Path("keys.json"))) as client:
    event = client.build(ApiUsage, account="c-17", identifiers=[("IP", "192.0.2.7")], window_seconds=60, ...)
    client.publish(event)
    with client.actions() as actions:
        for received in actions:
            suspend(received.action.target_account)
            received.done()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from weaklink.kafka_options import KafkaConfig
    from weaklink.parties import PartyKind
    from weaklink.partner.actions import ActionSubscription
    from weaklink.partner.aio import AsyncWeaklinkClient
    from weaklink.partner.builder import EventBuilder
    from weaklink.partner.classify import Hints
    from weaklink.partner.client import Delivered, DeliveryError, WeaklinkClient
    from weaklink.partner.config import PartnerConfig
    from weaklink.partner.models import (
        EVENT_MODELS,
        AccountClosed,
        AccountOpened,
        ActionReceipt,
        AddressLease,
        ApiUsage,
        EnforcementAction,
        Event,
        ModelReleased,
        PaymentAttempt,
    )
    from weaklink.partner.publisher import Publisher
    from weaklink.partner.received import ReceivedAction
    from weaklink.partner.recorder import Recorder
    from weaklink.partner.remote import RemoteTokeniser
    from weaklink.partner.tokens import LocalTokeniser, Tokeniser

_HOMES: Final = {
    "AccountClosed": "weaklink.partner.models",
    "AccountOpened": "weaklink.partner.models",
    "ActionReceipt": "weaklink.partner.models",
    "ActionSubscription": "weaklink.partner.actions",
    "AddressLease": "weaklink.partner.models",
    "ApiUsage": "weaklink.partner.models",
    "AsyncWeaklinkClient": "weaklink.partner.aio",
    "Delivered": "weaklink.partner.client",
    "DeliveryError": "weaklink.partner.client",
    "EVENT_MODELS": "weaklink.partner.models",
    "EnforcementAction": "weaklink.partner.models",
    "Event": "weaklink.partner.models",
    "Hints": "weaklink.partner.classify",
    "EventBuilder": "weaklink.partner.builder",
    "KafkaConfig": "weaklink.kafka_options",
    "LocalTokeniser": "weaklink.partner.tokens",
    "RemoteTokeniser": "weaklink.partner.remote",
    "ModelReleased": "weaklink.partner.models",
    "PartnerConfig": "weaklink.partner.config",
    "PartyKind": "weaklink.parties",
    "PaymentAttempt": "weaklink.partner.models",
    "Publisher": "weaklink.partner.publisher",
    "Recorder": "weaklink.partner.recorder",
    "ReceivedAction": "weaklink.partner.received",
    "Tokeniser": "weaklink.partner.tokens",
    "WeaklinkClient": "weaklink.partner.client",
}

__all__ = [
    "EVENT_MODELS",
    "AccountClosed",
    "AccountOpened",
    "ActionReceipt",
    "ActionSubscription",
    "AddressLease",
    "ApiUsage",
    "AsyncWeaklinkClient",
    "Delivered",
    "DeliveryError",
    "EnforcementAction",
    "Event",
    "EventBuilder",
    "Hints",
    "KafkaConfig",
    "LocalTokeniser",
    "ModelReleased",
    "PartnerConfig",
    "PartyKind",
    "PaymentAttempt",
    "Publisher",
    "ReceivedAction",
    "Recorder",
    "RemoteTokeniser",
    "Tokeniser",
    "WeaklinkClient",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): the settings include this package's config, and must not pull in a Kafka client with it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
