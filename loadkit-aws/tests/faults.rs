//! What becomes of calls when AWS throttles, fails, hangs, closes connections, or says too much.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Asked, Does, Fake, client, config};
use loadkit_aws::{AwsLine, Client, Config, DYNAMODB, DynamoDb, Source};
use loadkit_core::RunId;
use loadkit_worker::{Address, Clock, Expect, Item, Job, Key, Line, LineError, Store, StoreError, WorkerStatus};
use serde_json::{Value, json};

const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured provisioned throughput for the table was exceeded."}"#;

fn says(status: u16, body: &str) -> Does {
    Does::Says(status, body.to_owned())
}

fn item() -> Item {
    Item::new(Key::new("p", "s"), "x")
}

fn store(fake: &Fake) -> DynamoDb {
    DynamoDb::new(client(fake.at), "t")
}

#[tokio::test]
async fn a_throttle_is_waited_for() {
    let fake = Fake::new(|n, _| if n < 4 { says(400, THROTTLED) } else { says(200, "{}") });
    assert_eq!(store(&fake).put(item(), Expect::Absent).await, Ok(1));
    assert_eq!(fake.asked().len(), 5);
}

#[tokio::test]
async fn but_not_for_ever() {
    let fake = Fake::new(|_, _| says(400, THROTTLED));
    let error = store(&fake).put(item(), Expect::Absent).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Throttled(why) if why.contains("The level of configured") && why.contains("tried 5 times")),
        "{error}"
    );
    assert_eq!(fake.asked().len(), 5);
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    let fake =
        Fake::new(|_, _| says(400, r#"{"__type":"x#AccessDeniedException","Message":"User: arn is not authorized"}"#));
    let error = store(&fake).get(&item().key).await.unwrap_err();
    assert_eq!(
        error,
        StoreError::Failed("DynamoDB GetItem: AccessDeniedException: User: arn is not authorized".into())
    );
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn errors_of_the_service_and_broken_connections_are_tried_again() {
    let fake = Fake::new(|n, _| match n {
        0 => says(500, "<html>"),
        1 => Does::Closes,
        2 => says(503, r#"{"__type":"InternalServerError"}"#),
        _ => says(200, "{}"),
    });
    assert_eq!(store(&fake).get(&item().key).await, Ok(None));
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn who_finds_its_own_writing_has_written() {
    // The first try is done, and its answer lost; the second finds the condition broken by the first.
    let fake = Fake::new(|n, asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        match n {
            0 => Does::Closes,
            _ => says(400, &json!({ "__type": "x#ConditionalCheckFailedException", "Item": body["Item"] }).to_string()),
        }
    });
    assert_eq!(store(&fake).put(item(), Expect::Absent).await, Ok(1));
    assert_eq!(fake.asked().len(), 2);
    assert_eq!(fake.asked()[0].body, fake.asked()[1].body);
}

#[tokio::test]
async fn who_finds_anothers_has_not() {
    let other =
        json!({ "pk": { "S": "p" }, "sk": { "S": "s" }, "v": { "N": "1" }, "b": { "B": "eA==" }, "w": { "N": "7" } });
    let answer = json!({ "__type": "x#ConditionalCheckFailedException", "Item": other }).to_string();
    let fake = Fake::new(move |n, _| if n == 0 { Does::Closes } else { says(400, &answer) });
    let there = Some(Box::new(Item { version: 1, ..item() }));
    assert_eq!(store(&fake).put(item(), Expect::Absent).await, Err(StoreError::Conflict(there)));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let fake = Fake::new(|_, _| Does::Hangs);
    let mut config = config(fake.at);
    config.limits.call = Duration::from_millis(50);
    let error = Client::new(config).json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.tries, error.may_be_done), ("unreachable", 5, true));
    assert!(error.message.contains("did not answer within 50ms"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_no_json_is_an_error() {
    let fake = Fake::new(|n, _| if n == 0 { says(200, &"x".repeat(2_000)) } else { says(200, "{") });
    let mut config = config(fake.at);
    config.limits.body = 1_000;
    let client = Client::new(config);
    let error = client.json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert!(error.message.contains("more than 1000 bytes") && error.tries == 1, "{error}");
    let error = client.json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.tries), ("unreadable", 1));
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(at).json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert_eq!((error.tries, error.may_be_done), (5, false));
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn what_a_batch_leaves_undone_is_asked_again() {
    // It does one request of each call, and throttles every third call.
    let fake = Fake::new(|n, asked| {
        let mut body: Value = serde_json::from_str(&asked.body).unwrap();
        let requests = body["RequestItems"]["t"].as_array_mut().unwrap();
        if n % 3 == 2 {
            return says(400, THROTTLED);
        }
        requests.truncate(requests.len().min(25) / 2);
        let left = if requests.is_empty() { json!({}) } else { json!({ "t": requests }) };
        says(200, &json!({ "UnprocessedItems": left }).to_string())
    });
    let mut config = config(fake.at);
    config.tries.most = 10;
    let items = (0..100).map(|i| Item::new(Key::new("p", format!("{i}")), "x")).collect();
    DynamoDb::new(Client::new(config), "t").put_all(items).await.unwrap();
    let named = |asked: &Asked| -> Vec<String> {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let requests = body["RequestItems"]["t"].as_array().unwrap();
        assert!(requests.len() <= 25);
        requests.iter().map(|request| request["PutRequest"]["Item"]["sk"]["S"].to_string()).collect()
    };
    let all: HashSet<String> = fake.asked().iter().flat_map(named).collect();
    assert_eq!(all.len(), 100);
}

#[tokio::test]
async fn a_batch_that_is_never_done_is_a_throttle() {
    let fake = Fake::new(|_, asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        says(200, &json!({ "UnprocessedItems": body["RequestItems"] }).to_string())
    });
    let error = store(&fake).put_all(vec![item(), Item::new(Key::new("p", "2"), "x")]).await.unwrap_err();
    assert_eq!(error, StoreError::Throttled("DynamoDB BatchWriteItem left 2 items (tried 5 times)".into()));
}

#[tokio::test]
async fn connections_are_used_again_and_requests_are_signed() {
    let fake = Fake::new(|_, _| says(200, "{}"));
    let store = store(&fake);
    for _ in 0..20 {
        store.get(&item().key).await.unwrap();
    }
    assert_eq!(fake.connections(), 1);
    let asked = fake.asked();
    let authorization = asked[0].header("authorization").unwrap();
    assert!(authorization.contains("/us-east-1/dynamodb/aws4_request"), "{authorization}");
    assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target,"), "{authorization}");
    assert_eq!((asked[0].action(), asked[0].header("content-type")), ("GetItem", Some("application/x-amz-json-1.0")));
}

#[tokio::test]
async fn a_wrong_clock_is_put_right_by_the_first_answer() {
    #[derive(Debug)]
    struct Behind;
    impl Clock for Behind {
        fn now(&self) -> Duration {
            // 1994-11-06T08:49:37Z, less an hour.
            Duration::from_secs(784_111_777 - 3_600)
        }
    }
    let fake = Fake::new(|_, asked| {
        let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned();
        match asked.header("x-amz-date") {
            Some("19941106T084937Z") => Does::SaysWith(200, date, "{}".into()),
            _ => Does::SaysWith(
                403,
                date,
                r#"{"__type":"InvalidSignatureException","message":"Signature expired"}"#.into(),
            ),
        }
    });
    let client = Client::with_clock(config(fake.at), Arc::new(Behind));
    client.json(&DYNAMODB, "ListTables", &json!({})).await.unwrap();
    assert_eq!(fake.asked().len(), 2);
    assert_eq!(client.clock().now_ms() / 1_000, 784_111_777);
}

#[tokio::test]
async fn a_wrong_key_is_tried_twice_at_most() {
    let fake = Fake::new(|_, _| says(403, r#"{"__type":"InvalidSignatureException","message":"no match"}"#));
    let error = client(fake.at).json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.tries), ("InvalidSignatureException", 2));
}

#[tokio::test]
async fn a_containers_credentials_are_fetched_once_and_renewed() {
    // Those of the first time have four minutes left, which is too little; those after it an hour.
    let credentials = Fake::new(|n, asked| {
        assert_eq!((asked.line.as_str(), asked.header("authorization")), ("GET /role HTTP/1.1", Some("secret word")));
        let ends = if n == 0 { "2026-01-01T00:04:00Z" } else { "2026-01-01T01:00:00Z" };
        let key = json!({ "AccessKeyId": format!("key{n}"), "SecretAccessKey": "s", "Token": "t", "Expiration": ends });
        says(200, &key.to_string())
    });
    let fake = Fake::new(|_, _| says(200, "{}"));
    let variables = |name: &str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(format!("http://{}/role", credentials.at)),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN" => Some("secret word".to_owned()),
        "AWS_ENDPOINT_URL_DYNAMODB" => Some(format!("http://{}", fake.at)),
        _ => None,
    };
    let config = Config::read(&variables).unwrap();
    assert!(matches!(config.source, Source::Container { .. }));
    /// Each look at it is half a second later.
    #[derive(Debug)]
    struct Ticking(AtomicUsize);
    impl Clock for Ticking {
        fn now(&self) -> Duration {
            Duration::from_millis(1_767_225_600_000 + 500 * self.0.fetch_add(1, Ordering::SeqCst) as u64)
        }
    }
    let client = Client::with_clock(config, Arc::new(Ticking(AtomicUsize::new(0))));
    for _ in 0..6 {
        client.json(&DYNAMODB, "ListTables", &json!({})).await.unwrap();
    }
    assert_eq!(credentials.asked().len(), 2);
    let keys: HashSet<String> = fake
        .asked()
        .iter()
        .map(|asked| asked.header("authorization").unwrap().split(['=', '/']).nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(keys, HashSet::from(["key0".to_owned(), "key1".to_owned()]));
    assert_eq!(fake.asked()[0].header("x-amz-security-token"), Some("t"));
}

#[tokio::test]
async fn no_credentials_are_said_so() {
    let credentials = Fake::new(|_, _| says(403, "no"));
    let mut config = config(credentials.at);
    config.source = Source::Container { url: format!("http://{}/role", credentials.at), token: None, token_file: None };
    let error = Client::new(config).json(&DYNAMODB, "ListTables", &json!({})).await.unwrap_err();
    assert!(error.to_string().contains("no credentials from") && error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn a_worker_claims_nothing_in_a_table_of_another_version() {
    let job = Job::new(RunId(7), 0, Address::Aws { table: "t".into(), queue: "q".into() });
    // A table in which nothing lies but its version, in base64.
    let table = |version: &'static str| {
        Fake::new(move |_, asked| {
            let key = serde_json::from_str::<Value>(&asked.body).unwrap()["Key"].clone();
            if key["pk"]["S"] != "meta" {
                return says(200, "{}");
            }
            let item = json!({ "pk": key["pk"], "sk": key["sk"], "v": { "N": "1" }, "b": { "B": version } });
            says(200, &json!({ "Item": item }).to_string())
        })
    };
    // "0", "2" and "one".
    for (version, why) in [("MA==", "deploy to a new table"), ("Mg==", "clients included"), ("b25l", "no version")] {
        let fake = table(version);
        let claimed = AwsLine::new(&client(fake.at), "t", "q").claim(&job, &WorkerStatus::default()).await;
        assert!(matches!(&claimed, Err(LineError::Refused(words)) if words.contains(why)), "{claimed:?}");
        assert_eq!(fake.asked().len(), 1);
    }
    // Its own: it is looked at once.
    let fake = table("MQ==");
    let line = AwsLine::new(&client(fake.at), "t", "q");
    for asked in [2, 3] {
        assert_eq!(line.claim(&job, &WorkerStatus::default()).await, Err(LineError::UnknownRun));
        assert_eq!(fake.asked().len(), asked);
    }
}
