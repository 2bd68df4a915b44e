//! Ctrl-C and SIGTERM: the first asks the players to leave, the second ends at once.

use loadkit_core::{Control, Stop};

use super::say;

/// Turns the process's signals into words to `control`, from now on.
///
/// Without a thread or a runtime for it the signals keep their usual effect, and the run ends without a report.
pub(super) fn listen(control: &Control) {
    let control = control.clone();
    let listening = std::thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(obey(&control));
        }
    });
    if let Err(error) = listening {
        say::aside(format_args!("warning: Ctrl-C will end the run without a report: no thread to listen on: {error}"));
    }
}

async fn obey(control: &Control) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return say::aside(format_args!("warning: Ctrl-C will not stop the run: {error}")),
    };
    for (stop, word) in [
        (Stop::Drain, "stopping: the players are asked to leave; once more ends at once"),
        (Stop::Now, "stopping at once"),
    ] {
        signals.next().await;
        say::aside(word);
        control.stop(stop);
    }
    // Players that hang on even now are not waited for.
    signals.next().await;
    std::process::exit(i32::from(super::outcome::INVALID));
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
