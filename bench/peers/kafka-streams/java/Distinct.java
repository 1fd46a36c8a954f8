import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** (token, accounts) folded into the token's members; says them once, when they first are enough. */
final class Distinct implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "members";
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> store;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        Bytes token = Bytes.wrap(record.key());
        long[] before = Members.unpack(store.get(token));
        long[] after = Members.union(before, Members.unpack(record.value()));
        if (after != before) {
            byte[] packed = Members.pack(after);
            store.put(token, packed);
            if (Members.crosses(before, after)) {
                context.forward(record.withValue(packed));
            }
        }
        Status.folded(1);
    }
}
