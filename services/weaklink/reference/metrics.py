"""The page of metrics, from `weaklink.metrics.LISTED`."""

from weaklink.metrics import LISTED


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Metrics",
        "",
        "`weaklink run STAGE --metrics-port 9464` serves those of its process at `/metrics`; `weaklink run exporter` those of lag, which it asks "
        "Kafka for. Counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`; times are in seconds, sizes in bytes. "
        "`process_*` and `python_*` come from Prometheus' client library.",
        "",
        "| metric | kind | labels | served by | meaning |",
        "|---|---|---|---|---|",
    ]
    for one in LISTED:
        name = one.name + ("_total" if one.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}` | {one.kind} | {labels} | {one.service} | {one.meaning} |")
    return "\n".join(lines) + "\n"
