import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, decoded, encoded, tokens } from "./weaklink.mjs";

if (process.argv[2]) {  // test vectors: does this program make the tokens that everybody else makes?
  const file = JSON.parse(readFileSync(process.argv[2], "utf8"));
  for (const { kind, form, token } of file.vectors) {
    const made = tokens(file.keys, kind, form)[0].toString("hex");
    if (made !== token) throw new Error(`${kind} ${form}: made ${made} where ${token} is right`);
  }
  console.log(`${file.vectors.length} vectors agree`);
  process.exit(0);
}

const party = process.env.WEAKLINK_PARTY;
const { keys } = JSON.parse(readFileSync(process.env.WEAKLINK_PARTNER__KEY_FILE, "utf8"));
const kafka = connect();

// 1. Publish what an account did in a minute. The key is the account, so that one account's events stay in order.
const producer = kafka.producer();
await producer.connect();
const event = encoded("ApiUsage", {
  event_id: randomBytes(16),
  occurred_at: Date.now() * 1000,
  account: "cust-42",
  identifiers: [...tokens(keys, "IP", "203.0.113.7"), ...tokens(keys, "CARD", "pan:4111111111111111")],
  window_seconds: 60, model: "large-4", task: "REASONING_ELICITATION",
  requests: 31, input_tokens: 9_000, output_tokens: 52_000,
  end_user: null, address_class: "UNKNOWN",
});
const [at] = await producer.send({ topic: `party.${party}.events`, acks: -1, messages: [{ key: "cust-42", value: event }] });
console.log(`published at offset ${at.baseOffset}`);

// 2. Take one action, do it, and answer.
const consumer = kafka.consumer({ groupId: `party.${party}.actions` });
await consumer.connect();
await consumer.subscribe({ topic: `party.${party}.actions`, fromBeginning: true });
await new Promise((handled, failed) => {
  consumer.on(consumer.events.CRASH, ({ payload }) => failed(payload.error));
  consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const action = decoded("EnforcementAction", message.value);
      console.log(`${action.measure} ${action.target_account?.string ?? action.target_account}`);  // your own enforcement here: while state is ACTIVE do it, else undo it
      const answer = `${party}|${action.action_id}|${action.revision}|DONE`;
      const receipt = encoded("ActionReceipt", {
        event_id: createHash("sha256").update(answer).digest().subarray(0, 16),  // the same answer twice counts once
        occurred_at: Date.now() * 1000,
        action_id: action.action_id, revision: action.revision, status: "DONE", reason: null, note: null,
      });
      await producer.send({ topic: `party.${party}.events`, acks: -1, messages: [{ key: action.action_id, value: receipt }] });
      // Only now: after a crash the action comes again.
      await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
      handled();
    },
  });
});
await consumer.disconnect();
await producer.disconnect();
