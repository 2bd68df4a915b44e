"""The official Python package of OTLP reads what the kit has sent.

Arguments: files, each with the body of a request to /v1/metrics. Standard output has one line of JSON for each request:
its resource, and its metrics with their points.
"""

import json
import sys

from google.protobuf.json_format import MessageToDict
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


def known(message):
    """A field that the schema does not have would be kept in silence."""
    assert len(UnknownFieldSet(message)) == 0, f"{message.DESCRIPTOR.full_name} has fields that nobody knows"
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                known(one)


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        body = file.read()
    request = ExportMetricsServiceRequest.FromString(body)
    known(request)
    assert request.SerializeToString() and len(request.resource_metrics) == 1
    print(json.dumps(MessageToDict(request.resource_metrics[0])))
