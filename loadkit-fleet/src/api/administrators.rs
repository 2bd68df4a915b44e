//! `patterns of ARNs -> whose word on tokens counts`: principals of AWS that are the fleet's administrators.

use std::fmt;

use crate::policy::CallerPattern;

/// No more patterns than these.
const MAX_PATTERNS: usize = 50;

/// The principals that may see to tokens. Without any, nobody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Administrators(Vec<CallerPattern>);

/// What is wrong with a list of administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministratorsError(String);

impl fmt::Display for AdministratorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AdministratorsError {}

impl Administrators {
    /// Reads a list with commas between: ARNs of users, or of roles as they are assumed
    /// (`arn:aws:sts::123456789012:assumed-role/NAME/*`), in which `*` stands for anything but a colon. The account must be
    /// there in full, because principals of others may be let in too.
    ///
    /// # Errors
    /// Which of them is none.
    pub fn parse(list: &str) -> Result<Administrators, AdministratorsError> {
        let patterns: Vec<&str> = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).collect();
        if patterns.len() > MAX_PATTERNS {
            return Err(AdministratorsError(format!(
                "more than {MAX_PATTERNS} administrators: name a role that they share"
            )));
        }
        patterns.into_iter().map(pattern).collect::<Result<_, _>>().map(Administrators)
    }

    /// Whether this principal is one.
    pub(super) fn have(&self, arn: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(arn))
    }
}

fn pattern(text: &str) -> Result<CallerPattern, AdministratorsError> {
    let shown: String = text.chars().take(100).collect();
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_arn = match parts.as_slice() {
        ["arn", partition, "iam" | "sts", "", account, principal] => {
            let is_number = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            is_number && !partition.contains('*') && !principal.is_empty() && !principal.starts_with('*')
        }
        _ => false,
    };
    if !is_arn {
        let wanted = "arn:aws:iam::123456789012:user/NAME or arn:aws:sts::123456789012:assumed-role/NAME/*";
        return Err(AdministratorsError(format!(
            "{shown:?} is no principal of an account: it should be like {wanted}"
        )));
    }
    CallerPattern::parse(text).map_err(AdministratorsError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_word_counts() {
        let list = "arn:aws:iam::123456789012:user/ann, arn:aws:sts::123456789012:assumed-role/ops/*,";
        let administrators = Administrators::parse(list).unwrap();
        for (arn, is_one) in [
            ("arn:aws:iam::123456789012:user/ann", true),
            ("arn:aws:iam::123456789012:user/anna", false),
            ("arn:aws:iam::999999999999:user/ann", false),
            ("arn:aws:sts::123456789012:assumed-role/ops/carl", true),
            ("arn:aws:sts::123456789012:assumed-role/ops-of-others/carl", false),
            ("arn:aws:sts::123456789012:assumed-role/other/ops", false),
            ("local", false),
            ("", false),
        ] {
            assert_eq!(administrators.have(arn), is_one, "{arn}");
        }
        assert!(!Administrators::parse(" , ").unwrap().have("arn:aws:iam::123456789012:user/ann"));
    }

    #[test]
    fn what_is_nobody_is_refused() {
        for wrong in [
            "*",
            "arn:*",
            "ann",
            "arn:aws:iam::*:user/ann",
            "arn:aws:iam::123456789012:*",
            "arn:aws:iam::123456789012:",
            "arn:aws:s3:::123456789012:x",
            "arn:aws:iam::12345678901x:user/ann",
        ] {
            let error = Administrators::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("assumed-role/NAME/*"), "{wrong}: {error}");
        }
        assert!(Administrators::parse(&"arn:aws:iam::123456789012:user/x,".repeat(51)).is_err());
    }
}
