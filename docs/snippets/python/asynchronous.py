"""The same with asyncio: many events at once, and actions while other work goes on."""

import asyncio
import os

from weaklink.partner import ApiUsage, AsyncWeaklinkClient
from weaklink.settings import load_settings


async def main() -> None:
    settings = load_settings()
    async with AsyncWeaklinkClient(os.environ["WEAKLINK_PARTY"], settings.kafka, settings.partner) as client:
        events = [
            await client.build(
                ApiUsage, account=f"cust-{number}", identifiers=[("IP", "203.0.113.7")], window_seconds=0,
                model="large-4", task="OTHER", requests=1, input_tokens=300, output_tokens=1_700,
            )
            for number in range(100)
        ]
        delivered = await asyncio.gather(*(client.publish(event) for event in events))  # waits while too much is in flight
        print("published", len(delivered), "events")
        async with client.actions() as actions:
            async for received in actions:
                print(received.action.measure, received.action.target_account)
                await received.done()
                break


asyncio.run(main())
