//! The sharpest timer that the system has: timerfd on Linux, tokio's elsewhere.

use loadkit_core::{TokioTimer, WakeTimer};

/// The sharpest timer there is. Call it inside a runtime.
pub(crate) fn sharpest() -> Box<dyn WakeTimer> {
    #[cfg(target_os = "linux")]
    if let Ok(timer) = linux::TimerFdTimer::new() {
        return Box::new(timer);
    }
    Box::new(TokioTimer::default())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::task::{Context, Poll, ready};

    use loadkit_core::WakeTimer;
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::time::Instant;

    struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    /// One timerfd on the runtime's epoll. Expirations are never read: arming it anew makes the next edge.
    pub(super) struct TimerFdTimer {
        fd: AsyncFd<Fd>,
        armed: Option<Instant>,
    }

    impl TimerFdTimer {
        #[expect(deprecated, reason = "sound here: `Fd` owns its descriptor, and its number never changes")]
        pub(super) fn new() -> io::Result<TimerFdTimer> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let fd = Fd(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
            Ok(TimerFdTimer { fd: AsyncFd::with_interest(fd, Interest::READABLE)?, armed: None })
        }

        fn arm(&mut self, deadline: Instant, now: Instant) {
            let ahead = TimeSpec::from_duration(deadline.saturating_duration_since(now));
            // Setting a valid time on a valid descriptor does not fail; were it to, the next call tries again.
            let set = self.fd.get_ref().0.set(Expiration::OneShot(ahead), TimerSetTimeFlags::empty());
            self.armed = set.is_ok().then_some(deadline);
        }
    }

    impl WakeTimer for TimerFdTimer {
        fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
            loop {
                let now = Instant::now();
                if now >= deadline {
                    return Poll::Ready(());
                }
                if self.armed != Some(deadline) {
                    self.arm(deadline, now);
                }
                match ready!(self.fd.poll_read_ready(cx)) {
                    Ok(mut guard) => guard.clear_ready(),
                    // The runtime is going: nothing will wake this any more.
                    Err(_) => return Poll::Pending,
                }
                if Instant::now() < deadline {
                    // An edge of an earlier deadline. Should it have been this one's, a hair early, arm it again.
                    self.armed = None;
                }
            }
        }

        fn is_sharp(&self) -> bool {
            true
        }
    }

    #[cfg(test)]
    mod tests {
        use std::future::poll_fn;
        use std::time::Duration;

        use super::*;

        #[tokio::test(flavor = "current_thread")]
        async fn wakes_at_each_deadline_and_never_before() {
            let mut timer = TimerFdTimer::new().unwrap();
            for us in [0, 150, 20, 3_000, 700] {
                let deadline = Instant::now() + Duration::from_micros(us);
                poll_fn(|cx| timer.poll_until(deadline, cx)).await;
                assert!(Instant::now() >= deadline);
            }
        }

        #[tokio::test(flavor = "current_thread")]
        async fn an_earlier_deadline_replaces_a_later_one() {
            let mut timer = TimerFdTimer::new().unwrap();
            let far = Instant::now() + Duration::from_secs(3_600);
            poll_fn(|cx| {
                assert!(timer.poll_until(far, cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let near = Instant::now() + Duration::from_millis(1);
            poll_fn(|cx| timer.poll_until(near, cx)).await;
            assert!(Instant::now() < far);
        }
    }
}
