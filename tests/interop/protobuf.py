"""Google's Protobuf for Python reads and writes what the tests of Rust ask for.

Arguments: a file with a FileDescriptorSet, and one with a line of JSON for each message: what it is as a tree, and its
bytes as Rust wrote them. Standard output has a line for each: the bytes as Python writes the tree, the bytes of Rust read
and written again, and whether both are the same message.
"""

import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

pool = descriptor_pool.DescriptorPool()
with open(sys.argv[1], "rb") as file:
    for schema in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
        pool.Add(schema)


def build(tree):
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(tree["type"]))()
    for name, value in tree["fields"].items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if isinstance(value, list):
            for one in value:
                if field.message_type:
                    getattr(message, name).add().CopyFrom(build(one))
                else:
                    getattr(message, name).append(scalar(field, one))
        elif field.message_type:
            getattr(message, name).CopyFrom(build(value))
            getattr(message, name).SetInParent()
        else:
            setattr(message, name, scalar(field, value))
    return message


def scalar(field, value):
    if field.type == field.TYPE_BYTES:
        return bytes.fromhex(value["hex"]) if "hex" in value else build(value).SerializeToString()
    if field.type in (field.TYPE_UINT64, field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64):
        return int(value)
    return value


for line in open(sys.argv[2], encoding="utf-8"):
    asked = json.loads(line)
    built = build(asked["tree"])
    read = type(built).FromString(bytes.fromhex(asked["hex"]))
    print(
        json.dumps(
            {
                "written": built.SerializeToString().hex(),
                "again": read.SerializeToString().hex(),
                "same": read == built,
            }
        )
    )
