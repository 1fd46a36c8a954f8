/**
 * Reads what the job needs of an ApiUsage in Avro single-object encoding, in place: account and identifiers. No object is made for an event.
 *
 * <p>Layout: C3 01, 8 bytes of fingerprint, then event_id (bytes), occurred_at (long), account (string), identifiers (array of bytes), and fields that
 * the job does not use and an expert would not decode.
 */
final class Event {
    static final int TOKEN_BYTES = 17;
    private static final int FRAME_BYTES = 10;
    private static final int TOKENS_MAX = 32;

    /** FNV-1a of the account's name: what is kept and put out of an account, as Weaklink keeps a 64-bit hash of it. */
    long account;
    int tokens;
    /** Where each token begins in the bytes read last. */
    final int[] at = new int[TOKENS_MAX];

    private byte[] bytes;
    private int position;

    void read(byte[] value) {
        if (value[0] != (byte) 0xC3 || value[1] != 1) {
            throw new IllegalArgumentException("not in Avro single-object encoding");
        }
        bytes = value;
        position = FRAME_BYTES;
        skip(length());
        varint();
        int end = length();
        end += position;
        long hash = 0xcbf29ce484222325L;
        while (position < end) {
            hash = (hash ^ (bytes[position++] & 0xff)) * 0x100000001b3L;
        }
        account = hash;
        tokens = 0;
        for (long count = varint(); count != 0; count = varint()) {
            if (count < 0) { // a block that tells its size in bytes
                count = -count;
                varint();
            }
            for (; count > 0; count--) {
                int length = length();
                if (length != TOKEN_BYTES) {
                    throw new IllegalArgumentException("a token of " + length + " bytes");
                }
                at[tokens++] = position;
                skip(length);
            }
        }
    }

    private int length() {
        return Math.toIntExact(varint());
    }

    private void skip(int count) {
        position += count;
    }

    private long varint() {
        long raw = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            byte one = bytes[position++];
            raw |= (long) (one & 0x7f) << shift;
            if (one >= 0) {
                return (raw >>> 1) ^ -(raw & 1);
            }
        }
        throw new IllegalArgumentException("not a varint");
    }
}
