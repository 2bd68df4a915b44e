"""HdrHistogram for Python reads a log of loadkit's.

Argument: histograms.hlog. Standard output is JSON: for each tag how many values its intervals have, and percentiles of all
of them together.
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

PERCENTILES = [50, 90, 95, 99, 99.9]

whole = {}
log = HistogramLogReader(sys.argv[1], HdrHistogram(1, 1 << 43, 3))
while True:
    interval = log.get_next_interval_histogram()
    if interval is None:
        break
    tag = interval.get_tag()
    if tag not in whole:
        whole[tag] = {"intervals": 0, "values": HdrHistogram(1, 1 << 43, 3)}
    whole[tag]["intervals"] += 1
    whole[tag]["values"].add(interval)

answer = {}
for tag, read in whole.items():
    values = read["values"]
    answer[tag] = {
        "intervals": read["intervals"],
        "count": values.get_total_count(),
        "percentiles": [values.get_value_at_percentile(percentile) for percentile in PERCENTILES],
    }
print(json.dumps(answer))
