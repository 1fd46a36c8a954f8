import java.nio.ByteBuffer;
import java.util.Arrays;

/** The accounts of one identifier: sorted 64-bit keys without repetition. */
final class Members {
    static final int CAP = 1000;
    static final int SHARED_MIN = 5;
    static final long[] NONE = {};

    private Members() {}

    /** The two as one, cut at the cap; {@code known} itself when nothing is new. {@code added} is sorted. */
    static long[] union(long[] known, long[] added) {
        if (known.length >= CAP) {
            return known;
        }
        int fresh = 0;
        for (long one : added) {
            if (Arrays.binarySearch(known, one) < 0) {
                fresh++;
            }
        }
        if (fresh == 0) {
            return known;
        }
        long[] merged = new long[known.length + fresh];
        int left = 0;
        int right = 0;
        for (int at = 0; at < merged.length; at++) {
            if (right == added.length || left < known.length && known[left] <= added[right]) {
                if (right < added.length && known[left] == added[right]) {
                    right++;
                }
                merged[at] = known[left++];
            } else {
                merged[at] = added[right++];
            }
        }
        return merged.length <= CAP ? merged : Arrays.copyOf(merged, CAP);
    }

    static boolean crosses(long[] before, long[] after) {
        return before.length < SHARED_MIN && after.length >= SHARED_MIN;
    }

    static byte[] pack(long[] members) {
        ByteBuffer buffer = ByteBuffer.allocate(members.length * Long.BYTES);
        buffer.asLongBuffer().put(members);
        return buffer.array();
    }

    static long[] unpack(byte[] bytes) {
        if (bytes == null) {
            return NONE;
        }
        long[] members = new long[bytes.length / Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().get(members);
        return members;
    }
}
