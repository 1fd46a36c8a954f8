import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/**
 * What the benchmark follows: events whose pairs have been sent on, groups of pairs sent and folded, and when the first event was read and the last pair
 * folded. A line on standard output ten times a second.
 */
final class Status {
    static final LongAdder READ = new LongAdder();
    static final LongAdder SENT = new LongAdder();
    static final LongAdder FOLDED = new LongAdder();
    private static final AtomicLong FIRST_US = new AtomicLong();
    private static volatile long lastUs;

    private Status() {}

    static void reading() {
        if (FIRST_US.get() == 0) {
            FIRST_US.compareAndSet(0, nowUs());
        }
    }

    static void folded(long groups) {
        FOLDED.add(groups);
        lastUs = nowUs();
    }

    static void start() {
        Thread thread = new Thread(Status::report, "status");
        thread.setDaemon(true);
        thread.start();
    }

    static void print() {
        System.out.printf(
                "STATUS {\"first_us\": %d, \"last_us\": %d, \"read\": %d, \"sent\": %d, \"folded\": %d}%n",
                FIRST_US.get(), lastUs, READ.sum(), SENT.sum(), FOLDED.sum());
    }

    private static void report() {
        try {
            while (true) {
                print();
                Thread.sleep(100);
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private static long nowUs() {
        return System.currentTimeMillis() * 1000;
    }
}
