//! The queue, the launchers and the notifier: against the emulators, and against a server that does what they do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use common::{Does, Emulator, Fake, client, config};
use loadkit_aws::{Client, EventBridge, FargateLauncher, LambdaLauncher, Network, SQS, Sqs, Task, Tasks};
use loadkit_core::{RunId, Verdict};
use loadkit_fleet::{Happening, Inbox, Launcher, Notifier, Quotas};
use loadkit_worker::{Address, Job, LineError, Outbox};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(1);

fn jobs(count: u32) -> Vec<Job> {
    let line = Address::Aws { table: "t".into(), queue: "q".into() };
    (0..count).map(|worker| Job::new(RunId(7), worker, line.clone())).collect()
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

fn says(body: &Value) -> Does {
    Does::Says(200, body.to_string())
}

/// A queue that delivers again after a second, and sets aside after two deliveries.
async fn queue(client: &Client, name: &str) -> (Sqs, Sqs) {
    let make = async |name: &str, attributes: Value| {
        let made = client.json(&SQS, "CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await;
        made.unwrap()["QueueUrl"].as_str().unwrap().to_owned()
    };
    let dead = make(&format!("{name}-dead"), json!({})).await;
    let asked = json!({ "QueueUrl": dead, "AttributeNames": ["QueueArn"] });
    let arn = client.json(&SQS, "GetQueueAttributes", &asked).await.unwrap()["Attributes"]["QueueArn"].clone();
    let aside = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 2 }).to_string();
    let url = make(name, json!({ "VisibilityTimeout": "1", "RedrivePolicy": aside })).await;
    (Sqs::new(client.clone(), url), Sqs::new(client.clone(), dead))
}

async fn a_queue_carries(emulator: &Emulator) {
    let client = client(emulator.at);
    let (queue, dead) = queue(&client, "parcels").await;
    assert_eq!(queue.send(&[]).await, Ok(0));
    let mut texts: Vec<String> = (0..23).map(|i| format!("text {i}")).collect();
    texts.push("x".repeat(200_000));
    texts.push("y".repeat(200_000));
    assert_eq!(queue.send(&texts).await, Ok(25));
    let mut came = BTreeSet::new();
    while came.len() < 25 {
        let received = queue.receive(10, WAIT).await.unwrap();
        assert!(!received.is_empty() && received.len() <= 10);
        came.extend(received.iter().map(|received| received.body.clone()));
        let receipts: Vec<String> = received.into_iter().map(|received| received.receipt).collect();
        queue.done(&receipts).await.unwrap();
    }
    assert_eq!(came, texts.into_iter().collect());
    assert_eq!(queue.receive(10, Duration::ZERO).await.unwrap(), []);

    // What is never done is delivered again, and then set aside.
    queue.send(&["poison".to_owned()]).await.unwrap();
    for times in 1..=2 {
        let received = until_it_comes(&queue).await;
        assert_eq!((received.body.as_str(), received.times), ("poison", times));
    }
    // It is set aside when somebody asks for it once more.
    let mut aside = Vec::new();
    for _ in 0..10 {
        assert_eq!(queue.receive(10, WAIT).await.unwrap(), []);
        aside = dead.receive(10, Duration::ZERO).await.unwrap();
        if !aside.is_empty() {
            break;
        }
    }
    assert_eq!(aside[0].body, "poison");

    let gone = Sqs::new(client, format!("http://{}/000000000000/nowhere", emulator.at));
    let error = gone.send(&["a".to_owned()]).await.unwrap_err();
    assert!(matches!(&error, LineError::Away(why) if why.contains("SQS SendMessageBatch")), "{error}");
}

async fn until_it_comes(queue: &Sqs) -> loadkit_fleet::Received {
    for _ in 0..10 {
        if let Some(received) = queue.receive(10, WAIT).await.unwrap().pop() {
            return received;
        }
    }
    panic!("it is not delivered again");
}

#[tokio::test]
async fn ministack_has_a_queue_functions_tasks_and_events() {
    let Some(emulator) = Emulator::ministack() else { return };
    a_queue_carries(&emulator).await;

    let client = client(emulator.at);
    let lambda = LambdaLauncher::new(client.clone(), "no-such-function");
    let refused = lambda.start(&jobs(2)).await;
    assert!(
        refused.iter().all(|one| matches!(one, Err(why) if why.contains("Lambda Invoke: ResourceNotFound"))),
        "{refused:?}"
    );
    assert!(lambda.quotas().await.unwrap().workers.is_some_and(|workers| workers >= 10));

    let fargate = FargateLauncher::new(client.clone(), task());
    let refused = fargate.start(&jobs(1)).await;
    assert!(matches!(&refused[0], Err(why) if why.starts_with("ECS RunTask: ")), "{refused:?}");

    let judged = Happening::Judged { run: RunId(7), verdict: Verdict::Pass, headline: "fine".into() };
    EventBridge::new(client, "default").tell(&judged).await.unwrap();
}

#[tokio::test]
async fn motos_queue_carries_too() {
    let Some(emulator) = Emulator::moto() else { return };
    a_queue_carries(&emulator).await;
}

#[tokio::test]
async fn what_a_queue_does_not_take_is_told() {
    // Of each call it takes none but the first two; the third it blames on itself, the rest on the sender.
    let fake = Fake::new(|_, asked| {
        let entries = json_of(&asked.body)["Entries"].as_array().unwrap().clone();
        let failed: Vec<Value> = entries
            .iter()
            .filter(|entry| !["0", "1"].contains(&entry["Id"].as_str().unwrap()))
            .map(|entry| json!({ "Id": entry["Id"], "Code": "InternalError", "Message": "m", "SenderFault": entry["Id"] != "2" }))
            .collect();
        says(&json!({ "Failed": failed }))
    });
    let sqs = Sqs::new(client(fake.at), "q");
    let texts = vec!["t".to_owned(); 5];
    assert_eq!(sqs.send(&texts).await, Ok(2));
    let entries: Vec<usize> =
        fake.asked().iter().map(|asked| json_of(&asked.body)["Entries"].as_array().unwrap().len()).collect();
    assert_eq!(entries, [5, 1, 1, 1, 1]);

    let none =
        Fake::new(|_, _| says(&json!({ "Failed": [{ "Id": "0", "Code": "C", "Message": "M", "SenderFault": true }] })));
    let error = Sqs::new(client(none.at), "q").send(&texts).await.unwrap_err();
    assert_eq!(error, LineError::Away("SQS SendMessageBatch: C: M".into()));
}

#[tokio::test]
async fn a_function_is_invoked_with_each_job() {
    let fake = Fake::new(|n, asked| {
        assert_eq!(
            asked.line,
            "POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3Afunction%3Aplayers/invocations HTTP/1.1"
        );
        assert_eq!(asked.header("x-amz-invocation-type"), Some("Event"));
        match Job::parse(asked.body.as_bytes()).unwrap().worker {
            3 => Does::Says(429, r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#.into()),
            _ => Does::SaysWith(202, format!("x-amzn-RequestId: id-{n}\r\n"), String::new()),
        }
    });
    let lambda = LambdaLauncher::new(client(fake.at), "arn:aws:lambda:x:function:players");
    let started = lambda.start(&jobs(30)).await;
    let failed: Vec<usize> = (0..30).filter(|i| started[*i].is_err()).collect();
    assert_eq!(failed, [3]);
    assert_eq!(started[3], Err("Lambda Invoke: HTTP 429: Rate Exceeded. (tried 5 times)".into()));
    let names: BTreeSet<&String> = started.iter().flatten().collect();
    assert_eq!(names.len(), 29);
    lambda.end(started[0].as_ref().unwrap()).await.unwrap();
}

#[tokio::test]
async fn quotas_are_asked_for() {
    let fake = Fake::new(|_, asked| match asked.line.split(' ').nth(1).unwrap() {
        "/2016-08-19/account-settings" => says(&json!({ "AccountLimit": { "UnreservedConcurrentExecutions": 900 } })),
        "/2019-09-30/functions/own/concurrency" => says(&json!({ "ReservedConcurrentExecutions": 50 })),
        "/" => says(&json!({ "Quota": { "Value": 6.0 } })),
        _ => Does::Says(403, r#"{"__type":"AccessDeniedException"}"#.into()),
    });
    let quotas = async |function: &str| LambdaLauncher::new(client(fake.at), function).quotas().await.unwrap();
    assert_eq!(quotas("any").await.workers, Some(900));
    assert_eq!(quotas("own").await.workers, Some(50));
    let fargate = FargateLauncher::new(client(fake.at), task());
    assert_eq!(fargate.quotas().await.unwrap().workers, Some(3));
    let denied = Fake::new(|_, _| Does::Says(400, r#"{"__type":"x#AccessDeniedException"}"#.into()));
    let fargate = FargateLauncher::new(client(denied.at), task());
    assert!(matches!(fargate.quotas().await, Ok(Quotas { workers: None, .. })));
}

fn task() -> Task {
    Task {
        cluster: "c".into(),
        definition: "players".into(),
        container: "client".into(),
        vcpus: 2.0,
        network: Network::default(),
        spot: false,
    }
}

#[tokio::test]
async fn a_task_is_run_for_each_job_and_failures_become_words() {
    let fake = Fake::new(|_, asked| {
        let body = json_of(&asked.body);
        match (asked.action(), body["clientToken"].as_str().unwrap_or_default()) {
            ("StopTask", _) if body["task"] == "old" => Does::Says(
                400,
                r#"{"__type":"InvalidParameterException","message":"The referenced task was not found."}"#.into(),
            ),
            ("StopTask", _) => says(&json!({})),
            (_, token) if token.ends_with("-1-0") => says(
                &json!({ "tasks": [], "failures": [{ "arn": "a", "reason": "RESOURCE:CPU", "detail": "none left" }] }),
            ),
            (_, token) => says(&json!({ "tasks": [{ "taskArn": token }], "failures": [] })),
        }
    });
    let fargate = FargateLauncher::new(client(fake.at), task());
    let started = fargate.start(&jobs(3)).await;
    assert_eq!(started[1], Err("ECS RunTask: RESOURCE:CPU: none left: a".into()));
    assert!(started[0].as_ref().unwrap().ends_with("-0-0") && started[2].as_ref().unwrap().ends_with("-2-0"));
    fargate.end("old").await.unwrap();
    fargate.end("new").await.unwrap();
    assert_eq!(json_of(&fake.asked().last().unwrap().body)["task"], "new");
}

#[tokio::test]
async fn tasks_for_which_there_was_no_capacity_are_asked_for_again() {
    // Of twelve, every third has no room at first; one of those not the second time either.
    let times = Mutex::new(BTreeMap::<String, u32>::new());
    let fake = Fake::new(move |_, asked| {
        let token = json_of(&asked.body)["clientToken"].as_str().unwrap().to_owned();
        let number: u32 = token.split('-').nth(1).unwrap().parse().unwrap();
        let mut times = times.lock().unwrap();
        let asked_before = times.entry(token.clone()).or_default();
        *asked_before += 1;
        let refusals = match number {
            9 => 2,
            n if n % 3 == 0 => 1,
            _ => 0,
        };
        if *asked_before <= refusals {
            let failure = json!({ "reason": "Capacity is unavailable at this time. Please try again later" });
            return says(&json!({ "tasks": [], "failures": [failure] }));
        }
        says(&json!({ "tasks": [{ "taskArn": format!("task/{token}") }], "failures": [] }))
    });
    let fargate = FargateLauncher::new(client(fake.at), task());
    let (mut left, mut starts, mut passes) = (jobs(12), BTreeSet::new(), Vec::new());
    while !left.is_empty() {
        let answers = fargate.start(&left).await;
        assert_eq!(answers.len(), left.len(), "an answer for each job, in their order");
        starts.extend(answers.iter().flatten().cloned());
        let refused: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(refused.iter().all(|why| why.starts_with("ECS RunTask: Capacity is unavailable")), "{refused:?}");
        let failed = left.into_iter().zip(&answers).filter(|(_, answer)| answer.is_err());
        left = failed.map(|(job, _)| job).collect();
        passes.push(left.iter().map(|job| job.worker).collect::<Vec<_>>());
    }
    assert_eq!(passes, [vec![0, 3, 6, 9], vec![9], vec![]]);
    assert_eq!((starts.len(), fake.asked().len()), (12, 12 + 4 + 1), "nobody is asked for who was started");
}

#[tokio::test]
async fn who_hands_a_job_on_waits_for_room_but_not_for_ever() {
    let full = |n: usize| {
        let failure = json!({ "reason": "RESOURCE:MEMORY", "arn": format!("a{n}") });
        says(&json!({ "tasks": [], "failures": [failure] }))
    };
    let fake =
        Fake::new(
            move |n, _| {
                if n < 3 { full(n) } else { says(&json!({ "tasks": [{ "taskArn": "task/1" }], "failures": [] })) }
            },
        );
    let job = &jobs(1)[0];
    let tasks = Tasks::new(client(fake.at), task());
    assert_eq!(tasks.run_within(job, Duration::from_secs(60)).await, Ok("task/1".to_owned()));
    let tokens: BTreeSet<String> =
        fake.asked().iter().map(|asked| json_of(&asked.body)["clientToken"].to_string()).collect();
    assert_eq!((fake.asked().len(), tokens.len()), (4, 1), "the same task each time");

    let none = Fake::new(move |n, _| full(n));
    let refused = Tasks::new(client(none.at), task()).run_within(job, Duration::from_millis(200)).await.unwrap_err();
    assert!(refused.starts_with("ECS RunTask: RESOURCE:MEMORY: a"), "{refused}");
    let tries = format!(" (tried {} times)", none.asked().len());
    assert!(none.asked().len() > 1 && refused.ends_with(&tries), "{refused}");
    // What no waiting helps against is told at once.
    let denied = Fake::new(|_, _| Does::Says(400, r#"{"__type":"AccessDeniedException","message":"no"}"#.into()));
    let refused = Tasks::new(client(denied.at), task()).run_within(job, Duration::from_secs(60)).await;
    assert_eq!((refused, denied.asked().len()), (Err("ECS RunTask: AccessDeniedException: no".into()), 1));
}

#[tokio::test]
async fn an_event_that_is_not_taken_is_told() {
    let fake = Fake::new(|_, _| {
        says(&json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": "InternalFailure", "ErrorMessage": "m" }] }))
    });
    let stopped = Happening::Stopped { run: RunId(7), by: "me".into() };
    let error = EventBridge::new(Client::new(config(fake.at)), "bus").tell(&stopped).await.unwrap_err();
    assert_eq!(error, "EventBridge PutEvents: InternalFailure: m");
    let entry = json_of(&fake.asked()[0].body)["Entries"][0].clone();
    assert_eq!((&entry["DetailType"], &entry["EventBusName"]), (&json!("stopped"), &json!("bus")));
    assert_eq!(json_of(entry["Detail"].as_str().unwrap())["by"], "me");
}
