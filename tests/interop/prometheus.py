"""The official Python package of Prometheus reads what the kit's endpoint shows.

Argument: a file with what a scrape has given. Standard output is JSON: each family with its type and samples.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8") as file:
    families = list(text_string_to_metric_families(file.read()))

names = [family.name for family in families]
assert len(names) == len(set(names)), "a family has come twice"
print(
    json.dumps(
        {
            family.name: {
                "type": family.type,
                "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
            }
            for family in families
        }
    )
)
