import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.CopyableValue;

/** The 17 bytes of a token as a key: Flink takes no arrays of bytes for keys, and this one costs no more than its three fields. */
public final class Token implements CopyableValue<Token>, Comparable<Token> {
    private static final long serialVersionUID = 1L;
    private long first;
    private long second;
    private byte last;

    public Token() {}

    void set(byte[] bytes, int at) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, at, 17).order(ByteOrder.BIG_ENDIAN);
        first = buffer.getLong();
        second = buffer.getLong();
        last = buffer.get();
    }

    byte[] bytes() {
        return ByteBuffer.allocate(17).putLong(first).putLong(second).put(last).array();
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        out.writeLong(first);
        out.writeLong(second);
        out.writeByte(last);
    }

    @Override
    public void read(DataInputView in) throws IOException {
        first = in.readLong();
        second = in.readLong();
        last = in.readByte();
    }

    @Override
    public int getBinaryLength() {
        return 17;
    }

    @Override
    public void copyTo(Token target) {
        target.first = first;
        target.second = second;
        target.last = last;
    }

    @Override
    public Token copy() {
        Token copy = new Token();
        copyTo(copy);
        return copy;
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
        target.write(source, 17);
    }

    @Override
    public int compareTo(Token other) {
        int order = Long.compare(first, other.first);
        order = order != 0 ? order : Long.compare(second, other.second);
        return order != 0 ? order : Byte.compare(last, other.last);
    }

    @Override
    public int hashCode() {
        return Long.hashCode(first * 0x9E3779B97F4A7C15L ^ second) * 31 + last;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Token token && token.first == first && token.second == second && token.last == last;
    }
}
