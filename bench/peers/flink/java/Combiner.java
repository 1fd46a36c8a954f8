import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Events to (token, distinct accounts), gathered before they are shuffled. Goes out when there are many tokens, at the end of the input, and before the
 * barrier of a checkpoint, so that it needs no state of its own.
 */
final class Combiner extends AbstractStreamOperator<Tuple2<Token, long[]>>
        implements OneInputStreamOperator<byte[], Tuple2<Token, long[]>>, BoundedOneInput {
    private static final long serialVersionUID = 1L;
    private static final int TOKENS_MAX = 50_000;

    private transient Map<Token, Gathered> gathered;
    private transient Event event;
    private transient Token sought;
    private transient long waiting;

    @Override
    public void open() throws Exception {
        super.open();
        gathered = new HashMap<>();
        event = new Event();
        sought = new Token();
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        Status.reading();
        byte[] value = element.getValue();
        event.read(value);
        for (int number = 0; number < event.tokens; number++) {
            sought.set(value, event.at[number]);
            Gathered accounts = gathered.get(sought);
            if (accounts == null) {
                gathered.put(sought.copy(), accounts = new Gathered());
            }
            accounts.add(event.account);
        }
        waiting++;
        if (gathered.size() >= TOKENS_MAX) {
            flush();
        }
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        flush();
    }

    @Override
    public void endInput() {
        flush();
    }

    private void flush() {
        StreamRecord<Tuple2<Token, long[]>> out = new StreamRecord<>(null);
        gathered.forEach((token, accounts) -> output.collect(out.replace(Tuple2.of(token, accounts.take()))));
        Status.SENT.add(gathered.size());
        Status.READ.add(waiting);
        gathered.clear();
        waiting = 0;
    }
}
