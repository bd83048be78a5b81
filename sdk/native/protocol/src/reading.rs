//! Values to messages: each member has the type and the bounds of the table, or all is refused.

use std::collections::BTreeMap;
use std::fmt;

use sealroute_rules::{MAX_INTEGER, MAX_MESSAGE_BYTES, is_id};

use crate::messages::ServerMessage;
use crate::value::{self, Value};

/// A message that is refused: nothing of it has an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of the message, or empty for what is none.
    pub kind: String,
    /// The request that it was to answer, which will get no other answer.
    pub answers: Option<u64>,
    /// The member that is wrong or missing, or empty.
    pub path: String,
}

impl Refused {
    /// Stable.
    pub fn code(&self) -> &'static str {
        "unexpected_server_response"
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_empty() {
            return f.write_str("the server sent something that is no message of the protocol");
        }
        let Self { kind, path, .. } = self;
        write!(
            f,
            "the server sent \"{kind}\" with a wrong or missing \"{path}\""
        )
    }
}

impl std::error::Error for Refused {}

/// What the server said of encryption, judged by the states of trust alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// Nothing, or nothing that has a meaning.
    #[default]
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A word.
    Text(String),
}

/// A message of the server; `Ok(None)` for a kind that this client does not know.
pub fn decode(bytes: &[u8]) -> Result<Option<ServerMessage>, Refused> {
    let nothing = || Refused {
        kind: String::new(),
        answers: None,
        path: String::new(),
    };
    if bytes.len() as u64 > MAX_MESSAGE_BYTES {
        return Err(nothing());
    }
    let Some(Value::Map(members)) = value::read(bytes) else {
        return Err(nothing());
    };
    let Some(Value::Text(kind)) = members.get("t") else {
        return Err(nothing());
    };
    let answers = members.get("re").and_then(whole(Some(0), None));
    ServerMessage::read(kind, &Members(&members)).map_err(|fault| Refused {
        // It is one of the kinds that this client knows.
        kind: (*kind).to_owned(),
        answers,
        path: fault.0.join("."),
    })
}

/// Where a part is wrong: names, outermost first.
pub(crate) struct Fault(Vec<&'static str>);

/// A part of a message, or a whole one.
pub(crate) trait Part: Sized {
    fn read(members: &Members<'_>) -> Result<Self, Fault>;
}

/// One of a closed set.
pub(crate) trait Word: Copy + 'static {
    const WORDS: &[(Self, &str)];
}

/// The members of a map. Those that nothing asks for pass.
pub(crate) struct Members<'a>(&'a BTreeMap<&'a str, Value<'a>>);

impl Members<'_> {
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        self.optional(name, read)?.ok_or_else(|| Fault(vec![name]))
    }

    pub(crate) fn optional<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let value = self.0.get(name).map(read);
        value
            .map(|value| value.ok_or_else(|| Fault(vec![name])))
            .transpose()
    }

    pub(crate) fn optional_or_null<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.0.get(name) {
            Some(Value::Nil) => Ok(None),
            _ => self.optional(name, read),
        }
    }
}

pub(crate) fn part<T: Part>(value: &Value<'_>) -> Option<T> {
    let Value::Map(members) = value else {
        return None;
    };
    T::read(&Members(members)).ok()
}

#[allow(clippy::unnecessary_wraps)] // As the others of the table.
pub(crate) fn any(value: &Value<'_>) -> Option<Said> {
    Some(match value {
        Value::Flag(flag) => Said::Flag(*flag),
        Value::Text(text) => Said::Text((*text).to_owned()),
        _ => Said::Nothing,
    })
}

pub(crate) fn flag(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(*flag),
        _ => None,
    }
}

pub(crate) fn id(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) if is_id(text) => Some((*text).to_owned()),
        _ => None,
    }
}

pub(crate) fn word<T: Word>(value: &Value<'_>) -> Option<T> {
    let Value::Text(text) = value else {
        return None;
    };
    T::WORDS
        .iter()
        .find(|(_, word)| word == text)
        .map(|(word, _)| *word)
}

/// An integer that every client reads as it is.
pub(crate) fn whole(least: Option<u64>, most: Option<u64>) -> impl Fn(&Value<'_>) -> Option<u64> {
    let range = least.unwrap_or(0)..=most.unwrap_or(MAX_INTEGER);
    move |value| match value {
        Value::Whole(number) if range.contains(number) => Some(*number),
        _ => None,
    }
}

/// A finite number.
pub(crate) fn number(least: Option<f64>, most: Option<f64>) -> impl Fn(&Value<'_>) -> Option<f64> {
    let range = least.unwrap_or(f64::MIN)..=most.unwrap_or(f64::MAX);
    move |value| {
        let number = match value {
            Value::Number(number) => *number,
            Value::Whole(number) => f64::from(u32::try_from(*number).ok()?),
            Value::Negative(number) => f64::from(i32::try_from(*number).ok()?),
            _ => return None,
        };
        range.contains(&number).then_some(number)
    }
}

/// The bounds count characters.
pub(crate) fn text(
    least: Option<usize>,
    most: Option<usize>,
) -> impl Fn(&Value<'_>) -> Option<String> {
    let range = least.unwrap_or(0)..=most.unwrap_or(usize::MAX);
    move |value| match value {
        Value::Text(text) if range.contains(&text.chars().count()) => Some((*text).to_owned()),
        _ => None,
    }
}

/// The bounds count bytes.
pub(crate) fn bytes(
    least: Option<usize>,
    most: Option<usize>,
) -> impl Fn(&Value<'_>) -> Option<Vec<u8>> {
    let range = least.unwrap_or(0)..=most.unwrap_or(usize::MAX);
    move |value| match value {
        Value::Bytes(bytes) if range.contains(&bytes.len()) => Some(bytes.to_vec()),
        _ => None,
    }
}

/// At most so many.
pub(crate) fn list<T>(
    most: Option<usize>,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>) -> Option<Vec<T>> {
    move |value| match value {
        Value::List(values) if values.len() <= most.unwrap_or(usize::MAX) => {
            values.iter().map(&read).collect()
        }
        _ => None,
    }
}

pub(crate) fn map<K: Ord, V>(
    key: impl Fn(&Value<'_>) -> Option<K>,
    read: impl Fn(&Value<'_>) -> Option<V>,
) -> impl Fn(&Value<'_>) -> Option<BTreeMap<K, V>> {
    move |value| {
        let Value::Map(members) = value else {
            return None;
        };
        let entries = members
            .iter()
            .map(|(name, value)| Some((key(&Value::Text(name))?, read(value)?)));
        entries.collect()
    }
}
