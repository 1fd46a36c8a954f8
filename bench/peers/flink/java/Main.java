import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * {@code Main heap|rocksdb BOOTSTRAP EVENTS OUTPUT STATE_FOLDER}: reads what the topic holds, waits for a last checkpoint, which commits what was put
 * out, and ends.
 */
public final class Main {
    private static final int CORES = 2;
    private static final TypeInformation<Tuple2<Token, long[]>> PAIRS = TypeInformation.of(new TypeHint<>() {});

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        StreamExecutionEnvironment job =
                StreamExecutionEnvironment.createLocalEnvironment(CORES, settings(arguments[0], arguments[4]));
        job.fromSource(events(arguments[1], arguments[2]), WatermarkStrategy.noWatermarks(), "events")
                .transform("combine", PAIRS, new Combiner())
                .keyBy(pairs -> pairs.f0, TypeInformation.of(Token.class))
                .process(new Distinct())
                .returns(PAIRS)
                .sinkTo(shared(arguments[1], arguments[3]));
        Status.start();
        job.execute("shared identifiers");
        Status.print();
        System.exit(0);
    }

    private static KafkaSource<byte[]> events(String bootstrap, String topic) {
        return KafkaSource.<byte[]>builder()
                .setBootstrapServers(bootstrap)
                .setTopics(topic)
                .setGroupId(topic + "-flink")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(KafkaRecordDeserializationSchema.valueOnly(ByteArrayDeserializer.class))
                .setProperty("max.poll.records", "10000")
                .setProperty("max.partition.fetch.bytes", String.valueOf(8 << 20))
                .setProperty("receive.buffer.bytes", String.valueOf(4 << 20))
                .setProperty("isolation.level", "read_committed")
                .build();
    }

    private static KafkaSink<Tuple2<Token, long[]>> shared(String bootstrap, String topic) {
        KafkaRecordSerializationSchema<Tuple2<Token, long[]>> write =
                (pairs, context, now) -> new ProducerRecord<>(topic, pairs.f0.bytes(), Members.pack(pairs.f1));
        return KafkaSink.<Tuple2<Token, long[]>>builder()
                .setBootstrapServers(bootstrap)
                .setRecordSerializer(write)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(topic)
                .setProperty("transaction.timeout.ms", String.valueOf(Duration.ofMinutes(10).toMillis()))
                .setProperty("compression.type", "lz4")
                .setProperty("batch.size", String.valueOf(256 << 10))
                .setProperty("linger.ms", "20")
                .build();
    }

    private static Configuration settings(String kind, String folder) {
        Configuration settings = new Configuration();
        settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(10));
        settings.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
        settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + folder + "/checkpoints");
        settings.set(PipelineOptions.OBJECT_REUSE, true);
        settings.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(100));
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(128));
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(128));
        if (kind.equals("rocksdb")) {
            settings.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
            settings.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
            settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(512));
            settings.setString("state.backend.rocksdb.localdir", folder + "/rocksdb");
            settings.setString("state.backend.rocksdb.predefined-options", "FLASH_SSD_OPTIMIZED");
        } else {
            settings.set(StateBackendOptions.STATE_BACKEND, "hashmap");
            settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(16));
        }
        return settings;
    }
}
