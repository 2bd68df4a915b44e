//! A threshold's text: what was understood is written so that it is understood again.

use loadkit_core::Threshold;

pub(crate) fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Threshold::parse(text) {
        Ok(threshold) => {
            let written = threshold.to_string();
            assert_eq!(Threshold::parse(&written).map(|again| again.to_string()), Ok(written));
        }
        Err(error) => {
            let span = error.span();
            assert!(span.start <= span.end && span.end <= text.len(), "{span:?} of {text:?}");
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?} of {text:?}");
        }
    }
}
