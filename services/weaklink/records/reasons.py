"""Why an event is rejected: the values of the header `weaklink-reason` on `party.<id>.rejects`.

`EXPLANATIONS` says, for a person at the party, what each means and how to mend it.
"""

from typing import Final

EMPTY_VALUE: Final = "EMPTY_VALUE"
UNKNOWN_FRAMING: Final = "UNKNOWN_FRAMING"
UNKNOWN_SCHEMA: Final = "UNKNOWN_SCHEMA"
MALFORMED: Final = "MALFORMED"
TRAILING_BYTES: Final = "TRAILING_BYTES"
NOT_UTF8: Final = "NOT_UTF8"
RECORD_NOT_ALLOWED: Final = "RECORD_NOT_ALLOWED"
BAD_EVENT_ID: Final = "BAD_EVENT_ID"
BAD_ACCOUNT: Final = "BAD_ACCOUNT"
TOO_MANY_IDENTIFIERS: Final = "TOO_MANY_IDENTIFIERS"
BAD_IDENTIFIER: Final = "BAD_IDENTIFIER"
EXPIRED_EPOCH: Final = "EXPIRED_EPOCH"
TOO_OLD: Final = "TOO_OLD"
IN_THE_FUTURE: Final = "IN_THE_FUTURE"
NEGATIVE_COUNT: Final = "NEGATIVE_COUNT"
BAD_INTERVAL: Final = "BAD_INTERVAL"
BAD_TEXT: Final = "BAD_TEXT"
BATCH_TOO_LARGE: Final = "BATCH_TOO_LARGE"
NOT_YOUR_ACTION: Final = "NOT_YOUR_ACTION"
UNKNOWN_ACTION: Final = "UNKNOWN_ACTION"

EXPLANATIONS: Final[dict[str, str]] = {
    EMPTY_VALUE: "The message has no value. Publish one Avro event per message; deletions have no meaning here.",
    UNKNOWN_FRAMING: "The first bytes are neither C3 01 (Avro single-object encoding) nor 00 (Confluent wire format).",
    UNKNOWN_SCHEMA: "No schema with this fingerprint or id is known or allowed. Use the schemas that the SDK ships.",
    MALFORMED: (
        "The bytes are not one event of the schema that the frame names: truncated, or damaged. Write with an Avro library, and check that the "
        "fingerprint in the frame is that of the schema you write with."
    ),
    TRAILING_BYTES: "Bytes are left over after the event. Publish exactly one event per message.",
    NOT_UTF8: "A string is not valid UTF-8. Decode what you read, and let the Avro library write the string.",
    RECORD_NOT_ALLOWED: "A party of this kind may not publish this record. Leave it out, or have your kind corrected by the operators.",
    BAD_EVENT_ID: "event_id must be exactly 16 bytes, such as a UUID's (not its text).",
    BAD_ACCOUNT: "account must have 1 to 128 characters, none of them a control character. Longer ids: publish a hash of yours.",
    TOO_MANY_IDENTIFIERS: "An event carries at most 32 identifiers. Leave out the weakest, or publish several events.",
    BAD_IDENTIFIER: "A token must be 17 bytes and begin with a known kind byte: kind, key epoch, and 15 bytes of the HMAC.",
    EXPIRED_EPOCH: (
        "A token was made with keys of an epoch that is over. Take the present key file (or ask the tokeniser), make the tokens anew, and publish "
        "again."
    ),
    TOO_OLD: (
        "occurred_at is older than this record's limit (usage and payments 7 days, leases 90). Publish sooner; where only the clock or unit was wrong "
        "(microseconds since 1970), correct it and replay."
    ),
    IN_THE_FUTURE: (
        "occurred_at is more than 5 minutes ahead of the time at which the broker stored the event. Check your clock and time zone (UTC). Or released_at "
        "of a lease is more than 30 days ahead: leave it out while the address is held, and publish the lease again when it is released."
    ),
    NEGATIVE_COUNT: "Counts and lengths of windows must not be negative. A count that is not known is 0.",
    BAD_INTERVAL: "released_at must not lie before occurred_at. A lease that is still held has no released_at.",
    BAD_TEXT: "A text field is empty where it must not be, longer than 256 characters, or holds control characters.",
    BATCH_TOO_LARGE: "A record batch inflates to more than the limit. Send smaller batches.",
    NOT_YOUR_ACTION: "Kept in the ledger only; the sender is told UNKNOWN_ACTION.",
    UNKNOWN_ACTION: "The receipt names an action that was never issued to this party.",
}
