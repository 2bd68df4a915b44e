//! Ctrl-C and SIGTERM: the first asks the players to leave, the second ends at once.

use std::io;
use std::thread;

use loadkit_core::{Control, Stop};
use tokio::runtime::Builder;

use super::say;

/// Turns the process's signals into words to `control`, from now on.
///
/// Where nobody can listen for them they keep their usual effect, and the run ends without a report.
pub(super) fn obey(control: &Control) {
    let control = control.clone();
    let mut words = [
        (Stop::Drain, "stopping: the players are asked to leave; once more ends at once"),
        (Stop::Now, "stopping at once"),
    ]
    .into_iter();
    let obeying = listen(Box::new(move || match words.next() {
        Some((stop, word)) => {
            say::aside(word);
            control.stop(stop);
        }
        // Players that hang on even now are not waited for.
        None => std::process::exit(i32::from(super::outcome::INVALID)),
    }));
    if let Err(error) = obeying {
        say::aside(format_args!("warning: Ctrl-C will end the run without a report: {error}"));
    }
}

/// Has `each` called at every signal that asks the process to end, from now on, on a thread of its own.
///
/// # Errors
/// If the system gives no thread, or no signals: they keep their usual effect.
pub(super) fn listen(mut each: Box<dyn FnMut() + Send>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let listening = move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                each();
            }
        });
    };
    thread::Builder::new().name("signals".into()).spawn(listening).map(drop)
}

/// Listens from beginning to end: a second signal that comes while the first is being obeyed is not lost.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        tokio::signal::windows::ctrl_c().map(Signals)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
