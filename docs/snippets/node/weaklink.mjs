// What every program of a party needs: tokens, the connection, Avro's single-object encoding.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import avro from "avsc";
import { Kafka, logLevel } from "kafkajs";

const KINDS = { IP: 1, DEVICE: 2, TLS: 3, CARD: 4, BANK_ACCOUNT: 5, EMAIL: 6, PHONE: 7, API_KEY: 8, REFERRAL: 11, END_USER: 12 };

// One token for each epoch of keys in use: kind, epoch, the first 15 bytes of HMAC-SHA-256 over the normal form.
export function tokens(keys, kind, form) {
  return keys
    .filter((key) => key.kind === kind && (key.valid_until === null || new Date(key.valid_until) > new Date()))
    .map((key) => {
      const digest = createHmac("sha256", Buffer.from(key.key, "base64")).update(form, "utf8").digest();
      return Buffer.concat([Buffer.from([KINDS[kind], key.epoch]), digest.subarray(0, 15)]);
    });
}

const folder = process.env.WEAKLINK_SCHEMAS;
const headers = () => JSON.parse(readFileSync(join(folder, "headers.json"), "utf8"));
export const definition = (record) => JSON.parse(readFileSync(join(folder, `${record}.avsc`), "utf8"));
export const type = (record) => avro.Type.forSchema(definition(record));
// C3 01, fingerprint, body. `weaklink schema export` writes the first ten bytes of each record to headers.json.
export const encoded = (record, values) => Buffer.concat([Buffer.from(headers()[record], "hex"), type(record).toBuffer(values)]);
export function decoded(record, value) {
  if (value.subarray(0, 10).toString("hex") !== headers()[record]) throw new Error(`not a ${record} of the version that is known here`);
  return type(record).fromBuffer(value.subarray(10));
}

export function connect() {
  const env = process.env;
  const protocol = env.WEAKLINK_KAFKA__SECURITY_PROTOCOL;
  const authority = env.WEAKLINK_KAFKA__SSL_CAFILE;
  return new Kafka({
    clientId: env.WEAKLINK_PARTY,
    brokers: env.WEAKLINK_KAFKA__BOOTSTRAP_SERVERS.split(","),
    ssl: protocol === "SASL_SSL" ? (authority ? { ca: [readFileSync(authority)] } : true) : false,
    sasl: { mechanism: "scram-sha-512", username: env.WEAKLINK_KAFKA__USERNAME, password: env.WEAKLINK_KAFKA__PASSWORD },
    logLevel: logLevel.ERROR,
  });
}
