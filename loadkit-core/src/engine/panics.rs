//! Panics of bots: counted failures, with the place and the message, and silent on the terminal.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::failure::{Failure, Kind};

thread_local! {
    static IN_BOT: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a bot's code; its panic is a failure. The process's panic hook stays in force for all other code.
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if IN_BOT.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                outer(info);
            }
        }));
    });
    let before = IN_BOT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    IN_BOT.set(before);
    result.map_err(|payload| {
        let place = PLACE.take().unwrap_or_else(|| "an unknown place".into());
        Failure::new(Kind::PANIC, format!("the bot panicked at {place}: {}", message(&*payload)))
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
