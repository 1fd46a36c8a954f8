"""First day: publish one event, take one action, answer it. The environment says where and as whom."""

import os
import sys
from contextlib import suppress

from weaklink.partner import ApiUsage, WeaklinkClient
from weaklink.settings import load_settings

party = os.environ.get("WEAKLINK_PARTY") or sys.exit("set WEAKLINK_PARTY to your party's id")
settings = load_settings()  # WEAKLINK_KAFKA__* and WEAKLINK_PARTNER__*
with suppress(KeyboardInterrupt), WeaklinkClient(party, settings.kafka, settings.partner) as client:  # Ctrl-C: no more waiting
    # 1. Publish what an account did in a minute. Raw identifiers become tokens here, and go no further.
    event = client.build(
        ApiUsage,
        account="cust-42",
        identifiers=[("IP", "203.0.113.7"), ("CARD", "4111 1111 1111 1111")],
        window_seconds=60, model="large-4", task="REASONING_ELICITATION",
        requests=31, input_tokens=9_000, output_tokens=52_000,
    )
    print("published at offset", client.publish(event).offset)

    # 2. Take one action, do it, and answer.
    with client.actions() as actions:
        for received in actions:
            print(received.action.measure, received.action.target_account)  # your own enforcement here: while action.state is ACTIVE do it, else undo it
            received.done()  # or refuse(...), dispute(...)
            break
