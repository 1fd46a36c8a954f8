import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;

/** The job on the Processor API: bytes in and out, a combiner before the re-keying topic, members as packed sorted keys. */
final class Tuned {
    private Tuned() {}

    static Topology topology(String events, String pairs, String output, boolean rocksdb) {
        ByteArrayDeserializer read = new ByteArrayDeserializer();
        ByteArraySerializer write = new ByteArraySerializer();
        KeyValueBytesStoreSupplier supplier =
                rocksdb ? Stores.persistentKeyValueStore(Distinct.STORE) : Stores.inMemoryKeyValueStore(Distinct.STORE);
        return new Topology()
                .addSource("events", read, read, events)
                .addProcessor("combine", Combiner::new, "events")
                .addStateStore(new Combiner.Builder(), "combine")
                .addSink("rekey", pairs, write, write, "combine")
                .addSource("pairs", read, read, pairs)
                .addProcessor("distinct", Distinct::new, "pairs")
                .addStateStore(
                        Stores.keyValueStoreBuilder(supplier, Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled(),
                        "distinct")
                .addSink("shared", output, write, write, "distinct");
    }
}
