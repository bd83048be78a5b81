//! Rules for the server's descriptions, before a transport gets them. Texts come in, an error comes
//! out. What is refused is refused whole: what was agreed on before goes on.

use std::collections::BTreeSet;

use sealroute_rules::MAX_M_LINES;

use crate::SessionError;
use crate::description::{Direction, Line, parse};

/// Of an m-line: more than any server has.
const MAX_CANDIDATES: usize = 256;
/// What has a form in e2ee/2, and so what is sent and received.
const CODECS: [(&str, &[&str]); 2] = [
    ("audio", &["opus"]),
    ("video", &["vp8", "vp9", "h264", "av1"]),
];

fn unexpected(text: &'static str) -> SessionError {
    SessionError::Unexpected(text)
}

/// Who the other end of a transport is: the same for the transport's whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RemoteEnd {
    fingerprints: BTreeSet<String>,
    setup: Option<String>,
}

fn remote_end(lines: &[Line]) -> Result<RemoteEnd, SessionError> {
    let end = |line: &Line| RemoteEnd {
        fingerprints: line.fingerprints.clone(),
        setup: line.setup.clone(),
    };
    let first = lines
        .first()
        .map(end)
        .filter(|end| !end.fingerprints.is_empty())
        .ok_or(unexpected("The server's description names no certificate"))?;
    if lines.iter().any(|line| end(line) != first) {
        return Err(unexpected(
            "The server's description names two certificates",
        ));
    }
    Ok(first)
}

fn read(sdp: &str) -> Result<Vec<Line>, SessionError> {
    let lines = parse(sdp, MAX_M_LINES as usize)
        .ok_or(unexpected("The server sent a description that is none"))?;
    if lines.is_empty() {
        return Err(unexpected("The server sent a description without m-lines"));
    }
    if lines.iter().any(|line| line.candidates > MAX_CANDIDATES) {
        return Err(unexpected(
            "The server sent a description with too many lines",
        ));
    }
    Ok(lines)
}

fn codecs_of(kind: &str) -> &'static [&'static str] {
    CODECS
        .iter()
        .find(|(of, _)| *of == kind)
        .map_or(&[], |(_, names)| names)
}

/// The answers to one uplink.
#[derive(Debug, Default)]
pub(crate) struct AnswerRules {
    end: Option<RemoteEnd>,
}

impl AnswerRules {
    /// `sending`: the m-lines of what is about to be published.
    pub(crate) fn check(
        &mut self,
        offer: &str,
        answer: &str,
        sending: &[String],
    ) -> Result<(), SessionError> {
        let (offered, answered) = (read(offer)?, read(answer)?);
        if offered.len() != answered.len() {
            return Err(unexpected(
                "The server's answer has other m-lines than the offer",
            ));
        }
        for (asked, got) in offered.iter().zip(&answered) {
            check_answered(asked, got, sending)?;
        }
        let end = remote_end(&answered)?;
        if self.end.as_ref().is_some_and(|before| *before != end) {
            return Err(unexpected("The server's answer names another certificate"));
        }
        self.end = Some(end);
        Ok(())
    }
}

fn check_answered(asked: &Line, got: &Line, sending: &[String]) -> Result<(), SessionError> {
    if (&asked.kind, &asked.mid) != (&got.kind, &got.mid) {
        return Err(unexpected(
            "The server's answer has other m-lines than the offer",
        ));
    }
    let known = codecs_of(&asked.kind);
    let is_common = |name: &&String| known.contains(&name.as_str()) && asked.codecs.contains(*name);
    if !got.codecs.iter().any(|name| is_common(&name)) {
        return Err(unexpected(
            "The server's answer has no codec that was offered",
        ));
    }
    if !matches!(got.direction, Direction::ReceiveOnly | Direction::Inactive) {
        return Err(unexpected("The server's answer does more than receive"));
    }
    let is_taken = got.direction == Direction::ReceiveOnly && !got.is_rejected;
    if sending.contains(&asked.mid) && !is_taken {
        // Nothing would leave, and nobody would be told.
        return Err(unexpected(
            "The server's answer does not receive what is sent",
        ));
    }
    Ok(())
}

/// The offers of one downlink. Its m-lines keep their place, mid and kind.
#[derive(Debug, Default)]
pub(crate) struct OfferRules {
    end: Option<RemoteEnd>,
    lines: Vec<(String, String)>,
}

impl OfferRules {
    /// `carrying`: the m-lines that a stream is said to come over.
    pub(crate) fn check(&mut self, offer: &str, carrying: &[&str]) -> Result<(), SessionError> {
        let offered = read(offer)?;
        for line in &offered {
            check_offered(line, carrying)?;
        }
        let lines: Vec<_> = offered
            .iter()
            .map(|line| (line.mid.clone(), line.kind.clone()))
            .collect();
        let mids: BTreeSet<&String> = lines.iter().map(|(mid, _)| mid).collect();
        if mids.len() < lines.len() {
            return Err(unexpected("The server gave two m-lines one mid"));
        }
        if !lines.starts_with(&self.lines) {
            return Err(unexpected("The server's offer makes an m-line another one"));
        }
        let end = remote_end(&offered)?;
        if self.end.as_ref().is_some_and(|before| *before != end) {
            return Err(unexpected("The server's offer names another certificate"));
        }
        (self.end, self.lines) = (Some(end), lines);
        Ok(())
    }

    /// What a known m-line is of.
    pub(crate) fn kind(&self, mid: &str) -> Option<&str> {
        let known = self.lines.iter().find(|(of, _)| of == mid);
        known.map(|(_, kind)| kind.as_str())
    }
}

fn check_offered(line: &Line, carrying: &[&str]) -> Result<(), SessionError> {
    let known = codecs_of(&line.kind);
    if known.is_empty() {
        return Err(unexpected(
            "The server's offer has more than audio and video",
        ));
    }
    if !matches!(line.direction, Direction::SendOnly | Direction::Inactive) {
        return Err(unexpected("The server's offer does more than send"));
    }
    let is_sent = line.direction == Direction::SendOnly && !line.is_rejected;
    if carrying.contains(&line.mid.as_str()) && !is_sent {
        return Err(unexpected(
            "The server's offer does not send what it is said to",
        ));
    }
    if !line
        .codecs
        .iter()
        .any(|name| known.contains(&name.as_str()))
    {
        return Err(SessionError::UnsupportedCodec);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AnswerRules, OfferRules};

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";

    fn line(mid: &str, kind: &str, codec: &str, direction: &str) -> String {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na={direction}\r\n\
             a=rtpmap:96 {codec}/90000\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"
        )
    }

    fn both(direction: &str) -> String {
        let audio = line("0", "audio", "opus", direction);
        format!("{HEAD}{audio}{}", line("1", "video", "VP8", direction))
    }

    #[test]
    fn an_answer_takes_what_was_offered_or_less() {
        let (offer, sending) = (both("sendonly"), ["0".to_owned(), "1".to_owned()]);
        let check = |answer: &str| AnswerRules::default().check(&offer, answer, &sending);
        assert_eq!(check(&both("recvonly")), Ok(()));
        let good = both("recvonly");
        for bad in [
            both("sendrecv"),
            both("sendonly"),
            both("inactive"),
            good.replace("a=mid:1", "a=mid:2"),
            good.replace("VP8/90000", "H265/90000"),
            good.replace("VP8/90000", "H264/90000"),
            good.replace("m=video 9", "m=video 0"),
            good.replace("a=fingerprint:sha-256 AA:BB\r\n", ""),
            good.replacen("AA:BB", "AA:CC", 1),
            format!("{good}{}", line("2", "audio", "opus", "recvonly")),
            HEAD.to_owned(),
            "nonsense".to_owned(),
            String::new(),
        ] {
            let code = check(&bad).map_err(|error| error.code().to_owned());
            assert_eq!(code, Err("unexpected_server_response".into()), "{bad}");
        }
    }

    #[test]
    fn the_other_end_of_a_transport_stays_the_same() {
        let (offer, good) = (both("sendonly"), both("recvonly"));
        let mut rules = AnswerRules::default();
        for _ in 0..2 {
            assert_eq!(rules.check(&offer, &good, &[]), Ok(()));
        }
        for other in [
            good.replace("AA:BB", "AA:CC"),
            good.replace("actpass", "active"),
        ] {
            assert!(rules.check(&offer, &other, &[]).is_err());
        }
        assert_eq!(rules.check(&offer, &good, &[]), Ok(()));
    }

    #[test]
    fn an_offer_sends_and_keeps_its_lines() {
        let good = both("sendonly");
        let mut rules = OfferRules::default();
        assert_eq!(rules.check(&good, &["0", "1"]), Ok(()));
        assert_eq!(rules.kind("1"), Some("video"));
        assert_eq!(rules.kind("2"), None);
        let more = format!("{good}{}", line("2", "video", "AV1", "sendonly"));
        for bad in [
            both("sendrecv"),
            both("recvonly"),
            good.replace("a=mid:1", "a=mid:0"),
            good.replace("m=video", "m=application"),
            good.replace("VP8/90000", "H265/90000"),
            good.replace("AA:BB", "CC:DD"),
            line("1", "video", "VP8", "sendonly"),
            both("inactive"),
        ] {
            assert!(rules.check(&bad, &["1"]).is_err(), "{bad}");
        }
        assert_eq!(rules.check(&both("inactive"), &[]), Ok(()));
        assert_eq!(rules.check(&more, &["2"]), Ok(()));
        assert!(rules.check(&good, &[]).is_err());
    }
}
