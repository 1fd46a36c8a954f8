import java.util.Arrays;

/** Distinct accounts of one identifier between two flushes of a combiner; grows, and is sorted when it is taken. */
final class Gathered {
    private static final int SCAN_MAX = 16;
    private long[] accounts = new long[2];
    private int count;

    /** Whether the account is new here. Few are compared one by one; repetitions beyond that go when sorted. */
    boolean add(long account) {
        int from = Math.max(0, count - SCAN_MAX);
        for (int at = count - 1; at >= from; at--) {
            if (accounts[at] == account) {
                return false;
            }
        }
        if (count == accounts.length) {
            accounts = Arrays.copyOf(accounts, 2 * count);
        }
        accounts[count++] = account;
        return true;
    }

    /** Sorted, without repetitions. */
    long[] take() {
        Arrays.sort(accounts, 0, count);
        int kept = 0;
        for (int at = 0; at < count; at++) {
            if (at == 0 || accounts[at] != accounts[at - 1]) {
                accounts[kept++] = accounts[at];
            }
        }
        return Arrays.copyOf(accounts, kept);
    }
}
