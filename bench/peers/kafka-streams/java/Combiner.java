import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.internals.InternalProcessorContext;
import org.apache.kafka.streams.processor.internals.ProcessorNode;
import org.apache.kafka.streams.processor.internals.ProcessorRecordContext;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.internals.CacheFlushListener;
import org.apache.kafka.streams.state.internals.CachedStateStore;

/**
 * Events to (token, distinct accounts), gathered before they are re-keyed: one message for each token and flush instead of one for each pair.
 *
 * <p>Gathered pairs go out when there are many, and before every commit: the task flushes what counts as a cache then, as Kafka Streams' own
 * record caches rely on. (Internal interfaces, for want of public ones: without them a combiner cannot be exactly-once.)
 */
final class Combiner implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "gathered";
    private static final int TOKENS_MAX = 50_000;

    private final Map<Bytes, Gathered> gathered = new HashMap<>();
    private final Event event = new Event();
    private InternalProcessorContext<byte[], byte[]> context;
    private ProcessorNode<?, ?, ?, ?> node;
    private ProcessorRecordContext latest;
    private long now;
    private long waiting;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = (InternalProcessorContext<byte[], byte[]>) context;
        node = this.context.currentNode();
        Flushed store = context.getStateStore(STORE);
        store.onFlush = this::flush;
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        Status.reading();
        now = record.timestamp();
        latest = context.recordContext();
        byte[] value = record.value();
        event.read(value);
        for (int number = 0; number < event.tokens; number++) {
            byte[] token = new byte[Event.TOKEN_BYTES];
            System.arraycopy(value, event.at[number], token, 0, Event.TOKEN_BYTES);
            gathered.computeIfAbsent(Bytes.wrap(token), absent -> new Gathered()).add(event.account);
        }
        waiting++;
        if (gathered.size() >= TOKENS_MAX) {
            flush();
        }
    }

    private void flush() {
        if (waiting == 0) {
            return;
        }
        // Before a commit no record is being processed: say whose children these go to.
        ProcessorNode<?, ?, ?, ?> before = context.currentNode();
        context.setCurrentNode(node);
        context.setRecordContext(latest);
        gathered.forEach(
                (token, accounts) -> context.forward(new Record<>(token.get(), Members.pack(accounts.take()), now)));
        context.setCurrentNode(before);
        Status.SENT.add(gathered.size());
        Status.READ.add(waiting);
        gathered.clear();
        waiting = 0;
    }

    /** A store that holds nothing: it exists to be flushed before a commit. */
    static final class Flushed implements StateStore, CachedStateStore<byte[], byte[]> {
        private Runnable onFlush = () -> {};
        private boolean open;

        @Override
        public String name() {
            return STORE;
        }

        @Override
        public void init(StateStoreContext context, StateStore root) {
            context.register(root, (key, value) -> {});
            open = true;
        }

        @Override
        public boolean setFlushListener(CacheFlushListener<byte[], byte[]> listener, boolean oldValues) {
            return false;
        }

        @Override
        public void flushCache() {
            onFlush.run();
        }

        @Override
        public void clearCache() {}

        @Override
        public void commit(Map<TopicPartition, Long> offsets) {}

        @Override
        public void close() {
            open = false;
        }

        @Override
        public boolean persistent() {
            return false;
        }

        @Override
        public boolean isOpen() {
            return open;
        }
    }

    static final class Builder implements StoreBuilder<Flushed> {
        @Override
        public StoreBuilder<Flushed> withCachingEnabled() {
            return this;
        }

        @Override
        public StoreBuilder<Flushed> withCachingDisabled() {
            return this;
        }

        @Override
        public StoreBuilder<Flushed> withLoggingEnabled(Map<String, String> config) {
            return this;
        }

        @Override
        public StoreBuilder<Flushed> withLoggingDisabled() {
            return this;
        }

        @Override
        public Flushed build() {
            return new Flushed();
        }

        @Override
        public Map<String, String> logConfig() {
            return Map.of();
        }

        @Override
        public boolean loggingEnabled() {
            return false;
        }

        @Override
        public String name() {
            return STORE;
        }
    }
}
