//! An item, as DynamoDB's JSON has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loadkit_worker::{Item, Key, StoreError};
use serde_json::{Value, json};

pub(super) fn key(key: &Key) -> Value {
    json!({ "pk": { "S": key.part }, "sk": { "S": key.sort } })
}

pub(super) fn number(number: u64) -> Value {
    json!({ "N": number.to_string() })
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    json!({ "B": STANDARD.encode(bytes) })
}

/// An item with its version, and a number of who writes it.
pub(super) fn write(item: &Item, writer: Option<u64>) -> Value {
    let mut attributes = json!({
        "pk": { "S": item.key.part },
        "sk": { "S": item.key.sort },
        "v": number(item.version),
        "b": bytes(&item.body),
    });
    if let Some(fields) = attributes.as_object_mut() {
        fields.extend(item.expires_s.map(|expires| ("x".to_owned(), number(expires))));
        fields.extend(writer.map(|writer| ("w".to_owned(), number(writer))));
    }
    attributes
}

pub(super) fn read(attributes: &Value) -> Result<Item, StoreError> {
    let key = read_key(attributes).unwrap_or_else(|| Key::new("?", "?"));
    let malformed = |why: &str| StoreError::Malformed { key: key.clone(), why: why.to_owned() };
    let version = version(Some(attributes)).ok_or_else(|| malformed("it has no version"))?;
    let body = attributes.get("b").and_then(|body| body.get("B")).and_then(Value::as_str);
    let body = body.ok_or_else(|| malformed("it has no body"))?;
    let body = STANDARD.decode(body).map_err(|_| malformed("its body is no base64"))?;
    Ok(Item { version, body, expires_s: read_number(attributes, "x"), key })
}

pub(super) fn read_key(attributes: &Value) -> Option<Key> {
    let half = |name| attributes.get(name)?.get("S")?.as_str();
    Some(Key::new(half("pk")?, half("sk")?))
}

pub(super) fn version(attributes: Option<&Value>) -> Option<u64> {
    read_number(attributes?, "v")
}

pub(super) fn writer(attributes: &Value) -> Option<u64> {
    read_number(attributes, "w")
}

fn read_number(attributes: &Value, name: &str) -> Option<u64> {
    attributes.get(name)?.get("N")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let item = Item { version: 7, ..Item::new(Key::new("a", "ü/1"), vec![0, 255]) };
        for item in [item.clone(), item.expiring(1_700_000_000), Item::new(Key::new("a", "b"), [])] {
            assert_eq!(read(&write(&item, Some(u64::MAX))), Ok(item));
        }
        assert_eq!(writer(&write(&Item::new(Key::new("a", "b"), []), Some(u64::MAX))), Some(u64::MAX));
    }

    #[test]
    fn what_another_wrote_is_named() {
        for (text, why) in [
            (r#"{"pk":{"S":"a"},"sk":{"S":"b"}}"#, "a:b cannot be read: it has no version"),
            (r#"{"pk":{"S":"a"},"sk":{"S":"b"},"v":{"N":"-1"}}"#, "a:b cannot be read: it has no version"),
            (r#"{"pk":{"S":"a"},"sk":{"S":"b"},"v":{"N":"1"}}"#, "a:b cannot be read: it has no body"),
            (r#"{"v":{"N":"1"},"b":{"B":"?"}}"#, "?:? cannot be read: its body is no base64"),
        ] {
            assert_eq!(read(&serde_json::from_str(text).unwrap()).unwrap_err().to_string(), why);
        }
    }
}
