//! Requests that wait for their answers: numbers, timeouts, and what a resume does to them.

use std::collections::BTreeMap;
use std::time::Duration;

use sealroute_protocol::{ClientMessage, ServerMessage};
use sealroute_rules::{ANSWERS, REQUEST_TIMEOUT};

use crate::SessionError;

const OK: &str = "ok";

/// The number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// What became of a message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// It answers this request.
    Request(Number, Result<ServerMessage, SessionError>),
    /// It answers a request that was given up: what it gives has to be given back.
    Overdue(ServerMessage),
    /// It answers nothing that was asked, and is none.
    Nothing,
    /// It is an event.
    Event(ServerMessage),
}

#[derive(Debug)]
struct Waiting {
    message: ClientMessage,
    until: Duration,
}

/// The requests of one session, over all its WebSockets.
#[derive(Debug, Default)]
pub struct Requests {
    last: u64,
    waiting: BTreeMap<Number, Waiting>,
    /// Given up, and perhaps answered yet.
    overdue: BTreeMap<Number, &'static str>,
}

impl Requests {
    /// A number for a request that leaves now.
    pub fn send(&mut self, message: ClientMessage, now: Duration) -> Number {
        self.last += 1;
        let number = Number(self.last);
        let until = now + REQUEST_TIMEOUT;
        self.waiting.insert(number, Waiting { message, until });
        number
    }

    /// Takes a message of the server.
    pub fn on_message(&mut self, message: ServerMessage) -> Answered {
        let Some(number) = message.answers().map(Number) else {
            return match message {
                // The error of a request that was not even read.
                ServerMessage::Error(_) => Answered::Nothing,
                event => Answered::Event(event),
            };
        };
        if let Some(waiting) = self.waiting.remove(&number) {
            return Answered::Request(number, judged(waiting.message.kind(), message));
        }
        match self.overdue.remove(&number) {
            Some(kind) if fits(kind, &message) => Answered::Overdue(message),
            _ => Answered::Nothing,
        }
    }

    /// An answer came, and was refused whole: no other will come. True if one was waited for.
    pub fn on_misshapen(&mut self, answers: Option<u64>) -> Option<Number> {
        let number = Number(answers?);
        self.overdue.remove(&number);
        self.waiting.remove(&number).map(|_| number)
    }

    /// No answer to it counts.
    pub fn forget(&mut self, number: Number) {
        self.waiting.remove(&number);
    }

    /// What is sent again under the same number is this.
    pub fn replace(&mut self, number: Number, message: ClientMessage) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.message = message;
        }
    }

    /// Requests whose time is over, oldest first.
    pub fn give_up(&mut self, now: Duration) -> Vec<Number> {
        let is_over = |waiting: &Waiting| waiting.until <= now;
        let over = self.waiting.iter().filter(|(_, waiting)| is_over(waiting));
        let over: Vec<Number> = over.map(|(number, _)| *number).collect();
        for number in &over {
            if let Some(waiting) = self.waiting.remove(number) {
                self.overdue.insert(*number, waiting.message.kind());
            }
        }
        over
    }

    /// When [`Self::give_up`] has something to say.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// The connection goes on over another WebSocket: what the server did not get goes out again,
    /// with its number, oldest first.
    pub fn on_resumed(&self, last_request: Option<u64>) -> Vec<(Number, ClientMessage)> {
        let lost = self
            .waiting
            .iter()
            .filter(|(number, _)| last_request.is_none_or(|last| number.0 > last));
        lost.map(|(number, waiting)| (*number, waiting.message.clone()))
            .collect()
    }

    /// The connection is gone: no answer will come.
    pub fn on_ended(&mut self) -> Vec<Number> {
        self.overdue.clear();
        std::mem::take(&mut self.waiting).into_keys().collect()
    }
}

fn judged(request: &str, message: ServerMessage) -> Result<ServerMessage, SessionError> {
    match message {
        ServerMessage::Error(error) => Err(SessionError::Refused {
            code: error.code,
            number: error.number,
        }),
        answer if fits(request, &answer) => Ok(answer),
        _ => Err(SessionError::WrongAnswer),
    }
}

/// `ok` answers what has no answer of its own, and a `restartIce` of the downlink.
fn fits(request: &str, message: &ServerMessage) -> bool {
    let own = ANSWERS
        .iter()
        .find(|(kind, _)| *kind == request)
        .map_or(OK, |(_, answer)| answer);
    message.kind() == own || (request == "restartIce" && message.kind() == OK)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sealroute_protocol::messages::{
        Error, Ok as Acknowledged, Ping, Pong, Subscribe, Subscribed,
    };
    use sealroute_protocol::{ClientMessage, ServerMessage};

    use super::{Answered, Number, Requests};
    use crate::SessionError;

    fn subscribe() -> ClientMessage {
        ClientMessage::Subscribe(Subscribe {
            stream_id: "s".into(),
            ..Subscribe::default()
        })
    }

    fn subscribed(re: u64) -> ServerMessage {
        ServerMessage::Subscribed(Subscribed {
            re,
            ..Subscribed::default()
        })
    }

    const START: Duration = Duration::ZERO;

    #[test]
    fn an_answer_finds_its_request_once() {
        let mut requests = Requests::default();
        let first = requests.send(subscribe(), START);
        let second = requests.send(ClientMessage::Ping(Ping::default()), START);
        let pong = ServerMessage::Pong(Pong { re: second.0 });
        assert_eq!(
            requests.on_message(pong.clone()),
            Answered::Request(second, Ok(pong.clone()))
        );
        assert_eq!(requests.on_message(pong), Answered::Nothing);
        let answer = subscribed(first.0);
        assert_eq!(
            requests.on_message(answer.clone()),
            Answered::Request(first, Ok(answer))
        );
        assert_eq!(requests.deadline(), None);
    }

    #[test]
    fn another_answer_is_none_and_a_refusal_keeps_its_code() {
        let mut requests = Requests::default();
        let number = requests.send(subscribe(), START);
        let ok = ServerMessage::Ok(Acknowledged { re: number.0 });
        let wrong = Answered::Request(number, Err(SessionError::WrongAnswer));
        assert_eq!(requests.on_message(ok), wrong);
        let number = requests.send(subscribe(), START);
        let error = Error {
            code: "stream_unknown".into(),
            number: 1604,
            re: Some(number.0),
            ..Error::default()
        };
        let refused = SessionError::Refused {
            code: "stream_unknown".into(),
            number: 1604,
        };
        let answered = requests.on_message(ServerMessage::Error(error));
        assert_eq!(answered, Answered::Request(number, Err(refused)));
    }

    #[test]
    fn a_request_is_given_up_after_its_time_and_its_late_answer_is_to_be_given_back() {
        let mut requests = Requests::default();
        let number = requests.send(subscribe(), START);
        assert_eq!(requests.deadline(), Some(Duration::from_secs(20)));
        assert!(requests.give_up(Duration::from_millis(19_999)).is_empty());
        assert_eq!(requests.give_up(Duration::from_secs(20)), [number]);
        let late = subscribed(number.0);
        assert_eq!(
            requests.on_message(late.clone()),
            Answered::Overdue(late.clone())
        );
        assert_eq!(requests.on_message(late), Answered::Nothing);
    }

    #[test]
    fn a_resume_sends_again_what_did_not_arrive_and_an_end_fails_all() {
        let mut requests = Requests::default();
        let numbers: Vec<Number> = (0..3).map(|_| requests.send(subscribe(), START)).collect();
        let again = |last| -> Vec<Number> {
            requests
                .on_resumed(last)
                .into_iter()
                .map(|(number, _)| number)
                .collect()
        };
        assert_eq!(again(Some(numbers[0].0)), numbers[1..]);
        assert_eq!(again(Some(numbers[2].0)), []);
        assert_eq!(again(None), numbers);
        assert_eq!(requests.on_misshapen(Some(numbers[1].0)), Some(numbers[1]));
        assert_eq!(requests.on_misshapen(Some(99)), None);
        assert_eq!(requests.on_ended(), [numbers[0], numbers[2]]);
        assert_eq!(
            requests.on_message(subscribed(numbers[0].0)),
            Answered::Nothing
        );
    }
}
