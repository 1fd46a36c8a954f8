import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** The job as one writes it first: the DSL, a message for each pair, RocksDB. */
final class Plain {
    /** Members, and whether the pair folded last made them enough. */
    private record Group(long[] members, boolean crossed) {}

    private Plain() {}

    static Topology topology(String events, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        Serde<byte[]> bytes = Serdes.ByteArray();
        builder.stream(events, Consumed.with(bytes, bytes))
                .flatMap((key, value) -> pairs(value))
                .groupByKey(Grouped.with("pairs", Serdes.Bytes(), Serdes.Long()))
                .aggregate(
                        () -> new Group(Members.NONE, false),
                        (token, account, group) -> fold(group, account),
                        // Without the cache: with it, a later pair could hide the one that made the members enough.
                        Materialized.<Bytes, Group, KeyValueStore<Bytes, byte[]>>as("members")
                                .withKeySerde(Serdes.Bytes())
                                .withValueSerde(groups())
                                .withCachingDisabled())
                .toStream()
                .filter((token, group) -> group.crossed())
                .mapValues(group -> Members.pack(group.members()))
                .to(output, Produced.with(Serdes.Bytes(), bytes));
        return builder.build();
    }

    private static List<KeyValue<Bytes, Long>> pairs(byte[] value) {
        Status.reading();
        Event event = new Event();
        event.read(value);
        List<KeyValue<Bytes, Long>> pairs = new ArrayList<>(event.tokens);
        for (int number = 0; number < event.tokens; number++) {
            int at = event.at[number];
            pairs.add(KeyValue.pair(Bytes.wrap(Arrays.copyOfRange(value, at, at + Event.TOKEN_BYTES)), event.account));
        }
        Status.SENT.add(event.tokens);
        Status.READ.increment();
        return pairs;
    }

    private static Group fold(Group group, long account) {
        long[] after = Members.union(group.members(), new long[] {account});
        Status.folded(1);
        return new Group(after, Members.crosses(group.members(), after));
    }

    private static Serde<Group> groups() {
        return Serdes.serdeFrom(
                (topic, group) -> {
                    byte[] members = Members.pack(group.members());
                    return ByteBuffer.allocate(1 + members.length).put((byte) (group.crossed() ? 1 : 0)).put(members).array();
                },
                (topic, stored) ->
                        new Group(Members.unpack(Arrays.copyOfRange(stored, 1, stored.length)), stored[0] == 1));
    }
}
