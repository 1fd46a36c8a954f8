import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.message.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public class First {
  static final Map<String, Integer> KINDS = Map.of("IP", 1, "DEVICE", 2, "TLS", 3, "CARD", 4, "BANK_ACCOUNT", 5,
      "EMAIL", 6, "PHONE", 7, "API_KEY", 8, "REFERRAL", 11, "END_USER", 12);

  /** One token for each epoch of keys in use: kind, epoch, the first 15 bytes of HMAC-SHA-256 over the normal form. */
  static List<ByteBuffer> tokens(JsonNode keys, String kind, String form) throws Exception {
    List<ByteBuffer> found = new ArrayList<>();
    for (JsonNode key : keys) {
      boolean over = !key.get("valid_until").isNull()
          && OffsetDateTime.parse(key.get("valid_until").asText()).toInstant().isBefore(Instant.now());
      if (!key.get("kind").asText().equals(kind) || over) continue;
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(Base64.getDecoder().decode(key.get("key").asText()), "HmacSHA256"));
      byte[] digest = mac.doFinal(form.getBytes(StandardCharsets.UTF_8));
      found.add(ByteBuffer.allocate(17).put(KINDS.get(kind).byteValue()).put((byte) key.get("epoch").asInt())
          .put(digest, 0, 15).flip());
    }
    return found;
  }

  static Schema schema(String record) throws Exception {
    return new Schema.Parser().parse(new File(System.getenv("WEAKLINK_SCHEMAS"), record + ".avsc"));
  }

  static byte[] encoded(GenericRecord event) throws Exception {  // C3 01, fingerprint, body: Avro's single-object encoding
    ByteBuffer buffer = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), event.getSchema()).encode(event);
    byte[] value = new byte[buffer.remaining()];
    buffer.get(value);
    return value;
  }

  static ByteBuffer eventId(UUID id) {
    return ByteBuffer.allocate(16).putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits()).flip();
  }

  static GenericData.EnumSymbol symbol(Schema schema, String field, String symbol) {
    return new GenericData.EnumSymbol(schema.getField(field).schema(), symbol);
  }

  static Map<String, Object> connection() {
    Map<String, String> env = System.getenv();
    Map<String, Object> options = new HashMap<>();
    options.put("bootstrap.servers", env.get("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS"));
    options.put("security.protocol", env.get("WEAKLINK_KAFKA__SECURITY_PROTOCOL"));
    options.put("sasl.mechanism", "SCRAM-SHA-512");
    options.put("sasl.jaas.config", String.format(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s\";",
        env.get("WEAKLINK_KAFKA__USERNAME"), env.get("WEAKLINK_KAFKA__PASSWORD")));
    if (env.containsKey("WEAKLINK_KAFKA__SSL_CAFILE")) {
      options.put("ssl.truststore.type", "PEM");
      options.put("ssl.truststore.location", env.get("WEAKLINK_KAFKA__SSL_CAFILE"));
    }
    return options;
  }

  public static void main(String[] arguments) throws Exception {
    ObjectMapper json = new ObjectMapper();
    if (arguments.length > 0) {  // test vectors: does this program make the tokens that everybody else makes?
      JsonNode file = json.readTree(new File(arguments[0]));
      for (JsonNode one : file.get("vectors")) {
        String made = HexFormat.of().formatHex(tokens(file.get("keys"), one.get("kind").asText(), one.get("form").asText()).get(0).array());
        if (!made.equals(one.get("token").asText())) throw new IllegalStateException(one + " but made " + made);
      }
      System.out.println(file.get("vectors").size() + " vectors agree");
      return;
    }
    String party = System.getenv("WEAKLINK_PARTY");
    JsonNode keys = json.readTree(new File(System.getenv("WEAKLINK_PARTNER__KEY_FILE"))).get("keys");

    // 1. Publish what an account did in a minute.
    Schema usage = schema("ApiUsage");
    List<ByteBuffer> identifiers = new ArrayList<>(tokens(keys, "IP", "203.0.113.7"));
    identifiers.addAll(tokens(keys, "CARD", "pan:4111111111111111"));
    GenericRecord event = new GenericRecordBuilder(usage)
        .set("event_id", eventId(UUID.randomUUID()))
        .set("occurred_at", System.currentTimeMillis() * 1000)
        .set("account", "cust-42").set("identifiers", identifiers)
        .set("window_seconds", 60).set("model", "large-4").set("task", symbol(usage, "task", "REASONING_ELICITATION"))
        .set("requests", 31).set("input_tokens", 9_000L).set("output_tokens", 52_000L)
        .build();
    Map<String, Object> sending = connection();
    sending.put("enable.idempotence", "true");
    sending.put("compression.type", "lz4");
    Map<String, Object> reading = connection();
    reading.put("group.id", "party." + party + ".actions");
    reading.put("auto.offset.reset", "earliest");
    reading.put("enable.auto.commit", "false");
    reading.put("isolation.level", "read_committed");
    try (Producer<byte[], byte[]> producer = new KafkaProducer<>(sending, new ByteArraySerializer(), new ByteArraySerializer());
        Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      String topic = "party." + party + ".events";
      // The key is the account, so that one account's events stay in order.
      RecordMetadata at = producer.send(new ProducerRecord<>(topic, "cust-42".getBytes(StandardCharsets.UTF_8), encoded(event))).get();
      System.out.println("published at offset " + at.offset());

      // 2. Take one action, do it, and answer.
      BinaryMessageDecoder<GenericRecord> decoder = new BinaryMessageDecoder<>(GenericData.get(), schema("EnforcementAction"));
      consumer.subscribe(List.of("party." + party + ".actions"));
      ConsumerRecords<byte[], byte[]> records = ConsumerRecords.empty();
      while (records.isEmpty()) records = consumer.poll(Duration.ofSeconds(1));
      for (ConsumerRecord<byte[], byte[]> record : records) {
        GenericRecord action = decoder.decode(record.value());
        System.out.println(action.get("measure") + " " + action.get("target_account"));  // your own enforcement here: while state is ACTIVE do it, else undo it
        Schema receipt = schema("ActionReceipt");
        String answer = party + "|" + action.get("action_id") + "|" + action.get("revision") + "|DONE";
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(answer.getBytes(StandardCharsets.UTF_8));
        GenericRecord done = new GenericRecordBuilder(receipt)
            .set("event_id", ByteBuffer.wrap(digest, 0, 16).slice())  // the same answer twice counts once
            .set("occurred_at", System.currentTimeMillis() * 1000)
            .set("action_id", action.get("action_id")).set("revision", action.get("revision"))
            .set("status", symbol(receipt, "status", "DONE"))
            .build();
        producer.send(new ProducerRecord<>(topic, action.get("action_id").toString().getBytes(StandardCharsets.UTF_8), encoded(done))).get();
      }
      consumer.commitSync();  // only now: after a crash the action comes again
    }
  }
}
