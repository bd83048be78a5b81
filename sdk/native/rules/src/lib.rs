//! The rules of a client that no message says. The table is generated from
//! `signaling/spec/client_rules.py`, as those of the other SDKs are.

#![forbid(unsafe_code)]

// Its lines are those of the generator, its times milliseconds as in the other SDKs.
#[rustfmt::skip]
#[allow(clippy::doc_markdown, clippy::duration_suboptimal_units)]
mod table;

pub use table::*;

/// The error that an application gets when a close code ends its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalError {
    /// Stable, of `docs/protocol/errors.md`.
    pub code: &'static str,
    /// The name that applications compare.
    pub name: &'static str,
    /// The number of that name.
    pub number: u32,
    /// For people.
    pub message: &'static str,
}

/// Whether a text can be an id: 1 to 256 UTF-16 code units, no control character
/// (docs/e2ee.md section 2).
pub fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.encode_utf16().count() as u64 <= MAX_ID_UNITS
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn an_id_is_bounded_and_shows_as_it_is() {
        assert!(is_id("conn-1"));
        assert!(is_id(&"\u{1F511}".repeat(128)));
        assert!(!is_id(&"\u{1F511}".repeat(129)));
        for bad in ["", "a\0", "a\n", "\u{7f}", "a\u{85}b"] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
