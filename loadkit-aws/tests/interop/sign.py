"""Signs a request as AWS's own library does: reads it as JSON, writes the signature that it should have."""

import json
import sys

from botocore import auth, awsrequest, credentials

asked = json.load(sys.stdin)
headers = {**asked["headers"], "X-Amz-Date": asked["at"]}
if asked["token"]:
    headers["X-Amz-Security-Token"] = asked["token"]
request = awsrequest.AWSRequest(method=asked["method"], url=asked["url"], headers=headers, data=asked["body"].encode())
request.context["timestamp"] = asked["at"]
signer = auth.SigV4Auth(credentials.Credentials("test", "test", asked["token"]), asked["service"], "us-east-1")
print(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
