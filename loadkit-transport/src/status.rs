//! HTTP statuses as kinds of failure: `http-404`.

use loadkit_core::{Failure, Kind};

const FIRST: u16 = 100;
const COUNT: usize = 900;
const LEN: usize = "http-404".len();

/// The names of all statuses: a kind's name lives as long as the process.
static NAMES: [[u8; LEN]; COUNT] = names();

const fn names() -> [[u8; LEN]; COUNT] {
    let mut names = [*b"http-000"; COUNT];
    let mut i = 0;
    while i < COUNT {
        let status = i + FIRST as usize;
        names[i][LEN - 3] = b'0' + (status / 100) as u8;
        names[i][LEN - 2] = b'0' + (status / 10 % 10) as u8;
        names[i][LEN - 1] = b'0' + (status % 10) as u8;
        i += 1;
    }
    names
}

/// A failure of this status, of 100 to 999 (RFC 9110, section 15).
pub(crate) fn failure(status: u16, message: String) -> Failure {
    let name = NAMES.get(usize::from(status.saturating_sub(FIRST))).and_then(|name| std::str::from_utf8(name).ok());
    Failure::new(Kind::new(name.unwrap_or("http")), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_a_kind() {
        for status in [100, 404, 503, 999] {
            assert_eq!(failure(status, String::new()).kind().name(), format!("http-{status}"));
        }
        assert_eq!(failure(1_000, String::new()).kind().name(), "http");
    }
}
