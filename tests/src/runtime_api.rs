//! Lambda's runtime API, for real bootstrap processes: events in, answers out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Child;
use crate::answers::{Answer, Asked, serve_http};

/// Events and answers that wait.
const WAITING: usize = 100;

/// What a function answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The id of the invocation.
    pub id: String,
    /// Whether it was an error.
    pub is_error: bool,
    /// What it said.
    pub body: serde_json::Value,
}

struct Event {
    id: String,
    deadline_ms: u128,
    body: Vec<u8>,
}

/// The service that a bootstrap process asks for work. An event goes to one process, whichever asks first.
pub struct RuntimeApi {
    addr: SocketAddr,
    events: SyncSender<Event>,
    answers: Receiver<Answered>,
    invoked: Mutex<u32>,
}

impl RuntimeApi {
    /// Serves for as long as the process lives.
    pub fn new() -> RuntimeApi {
        let (events, queue) = sync_channel::<Event>(WAITING);
        let (sender, answers) = sync_channel(WAITING);
        let queue = Arc::new(Mutex::new(queue));
        let addr = serve_http(move |asked| match asked.path.strip_prefix("/2018-06-01/runtime/") {
            Some("invocation/next") if asked.method == "GET" => next(&queue),
            Some(path) if asked.method == "POST" => take(path, &asked, &sender),
            _ => Answer::new(404, "{}"),
        });
        RuntimeApi { addr, events, answers, invoked: Mutex::new(0) }
    }

    /// Starts a bootstrap process.
    pub fn start(&self, command: &mut Command) -> Child {
        Child::start(command.env("AWS_LAMBDA_RUNTIME_API", self.addr.to_string()))
    }

    /// Invokes the function with this event; the id of the invocation.
    pub fn invoke(&self, event: impl Into<Vec<u8>>, time_out: Duration) -> String {
        let mut invoked = self.invoked.lock().unwrap_or_else(PoisonError::into_inner);
        *invoked += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", *invoked);
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time_out;
        let event = Event { id: id.clone(), deadline_ms: deadline.as_millis(), body: event.into() };
        self.events.send(event).unwrap();
        id
    }

    /// The next answer of any process.
    pub fn answered(&self, limit: Duration) -> Answered {
        self.answers.recv_timeout(limit).expect("the function answers in time")
    }
}

impl Default for RuntimeApi {
    fn default() -> RuntimeApi {
        RuntimeApi::new()
    }
}

fn next(queue: &Mutex<Receiver<Event>>) -> Answer {
    // As Lambda does: the process waits as long as there is nothing to do.
    let event = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let Ok(event) = event else { return Answer::new(410, "{}") };
    let headers = vec![
        ("Lambda-Runtime-Aws-Request-Id".to_owned(), event.id),
        ("Lambda-Runtime-Deadline-Ms".to_owned(), event.deadline_ms.to_string()),
        (
            "Lambda-Runtime-Invoked-Function-Arn".to_owned(),
            "arn:aws:lambda:us-east-1:123456789012:function:worker".to_owned(),
        ),
    ];
    Answer { headers, ..Answer::new(200, event.body) }
}

fn take(path: &str, asked: &Asked, answers: &SyncSender<Answered>) -> Answer {
    let (id, what) = match path {
        "init/error" => ("", "error"),
        _ => path.strip_prefix("invocation/").and_then(|rest| rest.split_once('/')).unwrap_or_default(),
    };
    let Ok(body) = serde_json::from_slice(&asked.body) else { return Answer::new(400, "{}") };
    let answered = Answered { id: id.to_owned(), is_error: what == "error", body };
    if matches!(what, "response" | "error") && answers.try_send(answered).is_ok() {
        return Answer::new(202, r#"{"status":"OK"}"#);
    }
    Answer::new(400, "{}")
}
