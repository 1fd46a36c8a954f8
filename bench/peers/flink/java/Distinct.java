import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** (token, accounts) folded into the token's members; says them once, when they first are enough. */
final class Distinct extends KeyedProcessFunction<Token, Tuple2<Token, long[]>, Tuple2<Token, long[]>> {
    private static final long serialVersionUID = 1L;
    private transient ValueState<long[]> members;

    @Override
    public void open(OpenContext context) {
        members =
                getRuntimeContext()
                        .getState(
                                new ValueStateDescriptor<>(
                                        "members", PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO));
    }

    @Override
    public void processElement(Tuple2<Token, long[]> pairs, Context context, Collector<Tuple2<Token, long[]>> out)
            throws Exception {
        long[] stored = members.value();
        long[] before = stored == null ? Members.NONE : stored;
        long[] after = Members.union(before, pairs.f1);
        if (after != before) {
            members.update(after);
            if (Members.crosses(before, after)) {
                out.collect(Tuple2.of(pairs.f0, after));
            }
        }
        Status.folded(1);
    }
}
