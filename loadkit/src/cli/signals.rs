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
    for (stop, word) in [
        (Stop::Drain, "stopping: the players are asked to leave; once more ends at once"),
        (Stop::Now, "stopping at once"),
    ] {
        if let Err(error) = signalled().await {
            say::aside(format_args!("warning: Ctrl-C will not stop the run: {error}"));
            return;
        }
        say::aside(word);
        control.stop(stop);
    }
    // Players that hang on even now are not waited for.
    if signalled().await.is_ok() {
        std::process::exit(i32::from(super::outcome::INVALID));
    }
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        word = tokio::signal::ctrl_c() => word,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
