//! Whether a text is the name of a crate, and if not, which one is near.

/// Words of Rust, and names that a crate of a load client cannot have: cargo's folders, Rust's own crates, and ours.
const TAKEN: &str = "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod \
    move mut pub ref return self static struct super trait true type unsafe use where while abstract become box do final \
    gen macro override priv try typeof unsized virtual yield union test core std alloc proc_macro deps build examples \
    incremental loadkit tokio";

/// cargo's own limit is that of a file's name; 64 characters are what fits a report.
const MAX_CHARS: usize = 64;

/// Whether `name` is one.
///
/// # Errors
/// Why not, in words, with a name that is one.
pub(super) fn check(name: &str) -> Result<(), String> {
    match fault(name) {
        None => Ok(()),
        Some(why) => Err(format!("{name:?} is no name for a crate: {why}; {:?} would be one", near(name))),
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.chars().count() > MAX_CHARS {
        Some("it has more than 64 characters")
    } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Some("it must begin with a letter")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        Some("it can have letters, digits, `-` and `_` only")
    } else if TAKEN.split_whitespace().any(|taken| taken == name.replace('-', "_")) {
        Some("it is taken: by Rust, by cargo or by loadkit")
    } else {
        None
    }
}

/// The crate's name in Rust.
pub(super) fn ident(name: &str) -> String {
    name.replace('-', "_")
}

/// A name near to this one.
fn near(name: &str) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let kept = kept.trim_matches('-').trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let kept: String = kept.chars().take(MAX_CHARS - 5).collect();
    match fault(&kept) {
        _ if kept.is_empty() => "mygame".to_owned(),
        None => kept,
        Some(_) => format!("{kept}-bots"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crates_pass_and_others_are_corrected() {
        for name in ["mygame", "my-game", "g2_load", "A"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, near) in [
            ("", "mygame"),
            ("2fast", "fast"),
            ("my game", "my-game"),
            ("Über", "ber"),
            ("../up", "up"),
            ("match", "match-bots"),
            ("loadkit", "loadkit-bots"),
            ("proc-macro", "proc-macro-bots"),
            (&"x".repeat(65), &"x".repeat(59)),
        ] {
            let why = check(name).unwrap_err();
            assert!(why.ends_with(&format!("{near:?} would be one")), "{why}");
        }
        assert_eq!(ident("my-game"), "my_game");
    }
}
