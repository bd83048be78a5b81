//! `str(x)` of the format: two bytes of length, then UTF-8.

/// Appends `str(text)`; `None` for text of more than 65,535 bytes.
pub(crate) fn push(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let length = u16::try_from(text.len()).ok()?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// A label followed by `str` of each text.
pub(crate) fn labeled(label: &str, texts: &[&str]) -> Option<Vec<u8>> {
    let mut out = label.as_bytes().to_vec();
    for text in texts {
        push(&mut out, text)?;
    }
    Some(out)
}

/// Takes one `str` from the front.
pub(crate) fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    str::from_utf8(text).ok()
}
