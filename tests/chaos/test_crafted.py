"""Batches that no honest client writes: what the bombs are made of."""

import pytest
from chaos.crafted import CODECS, VALUE_BYTES_MAX, compress, zeros
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])  # of zeros in snappy one record is enough
def test_a_batch_of_several_long_records_is_read_as_such(codec: str) -> None:
    """By a client of Kafka: offsets one after another, as brokers check, and values of the lengths that were wanted."""
    lengths = [3 << 20, (1 << 20) + 1, 7]
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], False, -1, -1, -1, 1 << 30)
    builder._buffer += compress(codec, zeros(*lengths))
    builder._num_records, builder._last_offset = len(lengths), len(lengths) - 1
    builder.write_header()
    batch = DefaultRecordBatch(builder._buffer)
    assert [(record.offset, len(record.value or b"")) for record in batch] == list(enumerate(lengths))


def test_a_record_longer_than_its_length_can_say_is_refused() -> None:
    """Its length would be read as negative, and the batch as damaged, not as large."""
    with pytest.raises(ValueError, match="fits no record"):
        next(zeros(VALUE_BYTES_MAX + 1))
