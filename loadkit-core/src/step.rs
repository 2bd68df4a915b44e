//! A named part of the play, measured from when it did begin and from when it should have.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::cx::Cx;
use crate::failure::{Error, Result};

pin_project! {
    /// The future of [`Cx::step`]. The work stands in it once: a bot's future is no larger than it must be.
    #[must_use = "a step does nothing unless it is awaited"]
    pub struct Step<'a, F> {
        cx: &'a Cx,
        name: &'a str,
        began: Option<Began>,
        #[pin]
        work: F,
    }
}

#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    /// When it should have; never after it did.
    intended: Instant,
}

impl<'a, F> Step<'a, F> {
    pub(crate) fn new(cx: &'a Cx, name: &'a str, work: F) -> Step<'a, F> {
        Step { cx, name, began: None, work }
    }
}

impl<T, E: Into<Error>, F: Future<Output = Result<T, E>>> Future for Step<'_, F> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<T>> {
        let step = self.project();
        let cx: &Cx = step.cx;
        let began = *step.began.get_or_insert_with(|| {
            let at = Instant::now();
            let intended = cx.take_intended().map_or(at, |intended| intended.min(at));
            cx.record(|tape| tape.begun(at, intended, step.name));
            Began { at, intended }
        });
        match ready!(step.work.poll(task)) {
            Ok(value) => {
                let end = cx.arrived_since(began.at).unwrap_or_else(Instant::now);
                cx.record(|tape| tape.done(end, began.at, began.intended, step.name));
                let mut recorder = cx.0.shard.recorder.borrow_mut();
                let id = recorder.step_id(step.name);
                recorder.step_ok(id, end - began.at, end - began.intended);
                for label in cx.labels() {
                    let id = recorder.step_part(id, label);
                    recorder.step_ok(id, end - began.at, end - began.intended);
                }
                Poll::Ready(Ok(value))
            }
            Err(error) => Poll::Ready(Err(record_failure(cx, step.name, began, error.into()))),
        }
    }
}

#[cold]
fn record_failure(cx: &Cx, name: &str, began: Began, mut error: Error) -> Error {
    cx.record(|tape| tape.failed(Instant::now(), began.at, began.intended, name, &error));
    if !error.is_stopped() {
        let shard = &cx.0.shard;
        let message = error.take_sample().then(|| error.message());
        let mut recorder = shard.recorder.borrow_mut();
        let id = recorder.step_id(name);
        recorder.step_failed(id, error.kind());
        for label in cx.labels() {
            let id = recorder.step_part(id, label);
            recorder.step_failed(id, error.kind());
        }
        if let Some(message) = message {
            recorder.sample(name, error.kind(), message, cx.seat().index(), shard.elapsed());
        }
    }
    error
}
