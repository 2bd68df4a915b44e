// Protobuf-ES reads and writes what the tests of Rust ask for: as protobuf.py does it.
//
// NODE_PACKAGES says in which folder node_modules is.
"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [descriptors, asked] = process.argv.slice(2);
const load = createRequire(path.resolve(process.env.NODE_PACKAGES, "package.json"));
const { createFileRegistry, equals, fromBinary, toBinary } = load("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = load("@bufbuild/protobuf/wkt");
const { reflect } = load("@bufbuild/protobuf/reflect");

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptors)));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

function build(tree) {
  const message = reflect(registry.getMessage(tree.type));
  for (const [name, value] of Object.entries(tree.fields)) {
    const field = message.desc.fields.find((field) => field.name === name);
    if (Array.isArray(value)) {
      for (const one of value) {
        message.get(field).add(scalar(field, one));
      }
    } else {
      message.set(field, scalar(field, value));
    }
  }
  return message;
}

function scalar(field, value) {
  if (field.message) {
    return build(value);
  }
  if (value !== null && typeof value === "object") {
    return "hex" in value ? unhex(value.hex) : bytes(build(value));
  }
  // Numbers of 64 bits are texts in the tree; texts are texts of a field that takes text.
  const isText = field.scalar === 9;
  return typeof value === "string" && !isText ? BigInt(value) : value;
}

function bytes(message) {
  return toBinary(message.desc, message.message);
}

for (const line of fs.readFileSync(asked, "utf8").split("\n").filter((line) => line !== "")) {
  const { tree, hex: ours } = JSON.parse(line);
  const built = build(tree);
  const read = fromBinary(built.desc, unhex(ours));
  const answer = {
    written: hex(bytes(built)),
    again: hex(toBinary(built.desc, read)),
    same: equals(built.desc, built.message, read),
  };
  process.stdout.write(JSON.stringify(answer) + "\n");
}
