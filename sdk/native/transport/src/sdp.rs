//! What a description needs on its way to str0m, and from it.

use sealroute_e2ee::Codec;

use crate::TransportError;

/// Letters and digits that str0m tells apart.
const MAX_MID: usize = 16;

/// The word of a codec in an `rtpmap`.
pub(crate) fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::H264 => "H264",
        Codec::Av1 => "AV1",
    }
}

/// Errors: `Mid` where str0m would take one m-line for another.
pub(crate) fn check_mids(sdp: &str) -> Result<(), TransportError> {
    let is_fit = |mid: &str| {
        (1..=MAX_MID).contains(&mid.len()) && mid.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
    if mids.all(is_fit) {
        Ok(())
    } else {
        Err(TransportError::Mid)
    }
}

/// The server is the passive end of both links, and an offer of its says `actpass`; str0m would be
/// passive too then, and nobody would begin the handshake.
pub(crate) fn with_passive_server(offer: &str) -> String {
    offer.replace("a=setup:actpass", "a=setup:passive")
}

/// Leaves in each named m-line the one codec that is sent, with its repair: the server takes the
/// first that it knows.
pub(crate) fn with_codecs(offer: &str, lines: &[(String, Codec)]) -> String {
    let (head, sections) = split(offer);
    let mut out = head.to_owned();
    for section in sections {
        let mid = section.lines().find_map(|line| line.strip_prefix("a=mid:"));
        let chosen = lines.iter().find(|(of, _)| Some(of.as_str()) == mid);
        match chosen {
            Some((_, codec)) => out.push_str(&with_codec(section, *codec)),
            None => out.push_str(section),
        }
    }
    out
}

/// The part before the first m-line, and the m-lines with what belongs to them.
fn split(sdp: &str) -> (&str, Vec<&str>) {
    let starts: Vec<usize> = sdp.match_indices("\nm=").map(|(at, _)| at + 1).collect();
    let head = starts.first().map_or(sdp, |first| &sdp[..*first]);
    let ends = starts.iter().skip(1).copied().chain([sdp.len()]);
    let sections = starts.iter().zip(ends).map(|(from, to)| &sdp[*from..to]);
    (head, sections.collect())
}

fn with_codec(section: &str, codec: Codec) -> String {
    let value = |line: &str, name: &str| -> Option<(String, String)> {
        let (payload_type, rest) = line.strip_prefix(name)?.split_once(' ')?;
        Some((payload_type.to_owned(), rest.to_owned()))
    };
    let is_codec = |format: &str| {
        let word = format.split('/').next().unwrap_or_default();
        word.eq_ignore_ascii_case(name(codec))
    };
    let mut kept: Vec<String> = Vec::new();
    for line in section.lines() {
        if let Some((payload_type, format)) = value(line, "a=rtpmap:")
            && is_codec(&format)
        {
            kept.push(payload_type);
        }
    }
    for line in section.lines() {
        if let Some((payload_type, parameters)) = value(line, "a=fmtp:") {
            let original = parameters.strip_prefix("apt=");
            if original.is_some_and(|original| kept.iter().any(|one| one == original)) {
                kept.push(payload_type);
            }
        }
    }
    let mut out = String::new();
    for line in section.lines() {
        let of = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
            .iter()
            .find_map(|name| value(line, name));
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let head: Vec<&str> = words.by_ref().take(3).collect();
            let types: Vec<&str> = words
                .filter(|word| kept.iter().any(|one| one == word))
                .collect();
            let head = head.join(" ");
            let types = types.join(" ");
            out.extend(["m=", &head, " ", &types, "\r\n"]);
        } else if of.is_none_or(|(payload_type, _)| kept.contains(&payload_type)) {
            out.push_str(line);
            out.push_str("\r\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use sealroute_e2ee::Codec;

    use super::{check_mids, with_codecs, with_passive_server};
    use crate::TransportError;

    const OFFER: &str = "v=0\r\na=group:BUNDLE v\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99\r\n\
        a=mid:v\r\na=setup:actpass\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\n\
        a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\na=sendonly\r\n";

    #[test]
    fn an_m_line_keeps_the_codec_that_is_sent_and_its_repair() {
        let kept = with_codecs(OFFER, &[("v".into(), Codec::Vp9)]);
        assert!(kept.contains("m=video 9 UDP/TLS/RTP/SAVPF 98 99\r\n"));
        for gone in ["VP8", "a=rtcp-fb:96", "apt=96", ":97"] {
            assert!(!kept.contains(gone), "{gone}");
        }
        assert!(kept.ends_with("a=fmtp:99 apt=98\r\na=sendonly\r\n"));
        assert_eq!(with_codecs(OFFER, &[("other".into(), Codec::Vp9)]), OFFER);
    }

    #[test]
    fn the_server_is_passive_and_its_m_lines_have_ids_that_can_be_told_apart() {
        assert!(with_passive_server(OFFER).contains("a=setup:passive"));
        assert_eq!(check_mids(OFFER), Ok(()));
        for bad in ["", "a-b", "12345678901234567", "ä"] {
            let offer = OFFER.replace("a=mid:v", &format!("a=mid:{bad}"));
            assert_eq!(check_mids(&offer), Err(TransportError::Mid));
        }
    }
}
