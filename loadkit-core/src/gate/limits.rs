//! `flags -> GateOptions`: what the gate looks for, as people say it, the same in every command that has a gate.

use std::time::Duration;

#[cfg(feature = "flags")]
use crate::plan::parse_duration;

use super::GateOptions;

/// What the gate looks for, as far as anybody has said it. With the feature `flags` these are arguments of a command.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "flags", derive(clap::Args))]
#[cfg_attr(feature = "flags", command(next_help_heading = "Regression gate"))]
pub struct GateLimits {
    /// Smaller changes do not matter; 3% if nobody says otherwise.
    #[cfg_attr(feature = "flags", arg(long, value_name = "PERCENT", value_parser = parse_share))]
    pub min_effect: Option<f64>,
    /// And neither do changes of a time by less than this, however short it is: the generator's own share in it; else 100us.
    #[cfg_attr(feature = "flags", arg(long, value_name = "TIME", value_parser = time))]
    pub min_time: Option<Duration>,
    /// A change for the worse as large as this must not stay unseen, or the answer is "not enough data"; else 10%.
    #[cfg_attr(feature = "flags", arg(long, value_name = "PERCENT", value_parser = parse_share))]
    pub detect: Option<f64>,
    /// Of shares of failures, a smaller difference does not matter; else 0.1%.
    #[cfg_attr(feature = "flags", arg(long, value_name = "PERCENT", value_parser = parse_share))]
    pub min_errors: Option<f64>,
    /// And one as large must not stay unseen; else 1%.
    #[cfg_attr(feature = "flags", arg(long, value_name = "PERCENT", value_parser = parse_share))]
    pub detect_errors: Option<f64>,
    /// How probable it may be that anything is called changed where nothing has; else 1%.
    #[cfg_attr(feature = "flags", arg(long, value_name = "SHARE", value_parser = parse_share))]
    pub alpha: Option<f64>,
}

impl GateLimits {
    /// What this says, and for the rest what `else_` says.
    #[must_use]
    pub fn or(&self, else_: &GateLimits) -> GateLimits {
        GateLimits {
            min_effect: self.min_effect.or(else_.min_effect),
            min_time: self.min_time.or(else_.min_time),
            detect: self.detect.or(else_.detect),
            min_errors: self.min_errors.or(else_.min_errors),
            detect_errors: self.detect_errors.or(else_.detect_errors),
            alpha: self.alpha.or(else_.alpha),
        }
    }

    /// As the gate takes them; what nobody has said is as by default.
    ///
    /// # Errors
    /// If what does not matter would be larger than what must not stay unseen: in words, with the flag to change.
    pub fn options(&self) -> Result<GateOptions, String> {
        let usual = GateOptions::default();
        let options = GateOptions {
            min_effect: self.min_effect.unwrap_or(usual.min_effect),
            min_time: self.min_time.unwrap_or(usual.min_time),
            detect: self.detect.unwrap_or(usual.detect),
            min_errors: self.min_errors.unwrap_or(usual.min_errors),
            detect_errors: self.detect_errors.unwrap_or(usual.detect_errors),
            alpha: self.alpha.unwrap_or(usual.alpha),
        };
        let GateOptions { min_effect, detect, min_errors, detect_errors, .. } = options;
        for (least, limit, least_name, limit_name) in
            [(min_effect, detect, "effect", ""), (min_errors, detect_errors, "errors", "-errors")]
        {
            if least > limit {
                return Err(format!(
                    "--min-{least_name} is larger than --detect{limit_name}: a change that does not matter need not be seen; \
                     raise --detect{limit_name} too"
                ));
            }
        }
        Ok(options)
    }
}

/// `3%` or `0.03`, between 0 and 1.
///
/// # Errors
/// In words: what would be one.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let value = number.trim().parse::<f64>().ok().map(|number| number / whole);
    value
        .filter(|value| *value > 0.0 && *value < 1.0)
        .ok_or_else(|| "write a share between 0 and 1, or a percentage: 0.03, 3%".to_owned())
}

#[cfg(feature = "flags")]
fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!(parse_share("3%"), Ok(0.03));
        assert_eq!(parse_share("0.01"), Ok(0.01));
        assert_eq!(parse_share("2.5 %"), Ok(0.025));
        for text in ["3", "0", "100%", "-1%", "NaN", "%", ""] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_nobody_says_is_as_usual_and_contradictions_are_told() {
        assert_eq!(GateLimits::default().options(), Ok(GateOptions::default()));
        let file = GateLimits { min_effect: Some(0.1), detect: Some(0.5), ..GateLimits::default() };
        let flags = GateLimits { detect: Some(0.2), ..GateLimits::default() };
        let options = flags.or(&file).options().unwrap();
        assert_eq!((options.min_effect, options.detect, options.alpha), (0.1, 0.2, 0.01));
        let wrong = GateLimits { min_effect: Some(0.2), ..GateLimits::default() }.options().unwrap_err();
        assert!(wrong.starts_with("--min-effect is larger than --detect: "), "{wrong}");
        let wrong = GateLimits { min_errors: Some(0.2), ..GateLimits::default() }.options().unwrap_err();
        assert!(wrong.ends_with("raise --detect-errors too"), "{wrong}");
    }
}
