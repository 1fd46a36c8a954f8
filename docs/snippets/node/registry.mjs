// The Confluent wire format: a zero byte, the schema's id in the registry (4 bytes), the body.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { connect, tokens } from "./weaklink.mjs";

const party = process.env.WEAKLINK_PARTY;
const { keys } = JSON.parse(readFileSync(process.env.WEAKLINK_PARTNER__KEY_FILE, "utf8"));
const registry = new SchemaRegistry({ host: process.env.SCHEMA_REGISTRY_URL });
const id = await registry.getLatestSchemaId("weaklink-ApiUsage");
const value = await registry.encode(id, {
  event_id: randomBytes(16),
  occurred_at: Date.now() * 1000,
  account: "cust-42",
  identifiers: tokens(keys, "IP", "203.0.113.7"),
  window_seconds: 0, model: "large-4", task: "OTHER",
  requests: 1, input_tokens: 300, output_tokens: 1_700,
  end_user: null, address_class: "UNKNOWN",
});
const producer = connect().producer();
await producer.connect();
const [at] = await producer.send({ topic: `party.${party}.events`, acks: -1, messages: [{ key: "cust-42", value }] });
console.log(`published at offset ${at.baseOffset} with schema ${id}`);
await producer.disconnect();
