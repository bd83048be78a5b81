//! Why a transport cannot be used as asked.

use std::fmt;

/// Nothing of a description that is refused stays applied, or the caller closes the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// An m-line id that this transport would take for another's.
    Mid,
    /// It is no description, or not one for this link.
    Description,
    /// An answer to no offer.
    NoOffer,
    /// A local address that cannot be one.
    Address,
    /// There is no such m-line, or it does not send.
    NoLine,
    /// The other end does not take the codec.
    Codec,
    /// It is broken: close it.
    Broken,
}

impl TransportError {
    /// Stable.
    pub fn code(self) -> &'static str {
        match self {
            Self::Mid => "transport_mid",
            Self::Description => "transport_description",
            Self::NoOffer => "transport_no_offer",
            Self::Address => "transport_address",
            Self::NoLine => "transport_no_line",
            Self::Codec => "transport_codec",
            Self::Broken => "transport_broken",
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mid => "an id of an m-line has more than 16 letters and digits",
            Self::Description => "the description cannot be used",
            Self::NoOffer => "there is no offer that could be answered",
            Self::Address => "the local address cannot be used",
            Self::NoLine => "there is no such m-line that sends",
            Self::Codec => "the other end does not take this codec",
            Self::Broken => "the transport broke",
        })
    }
}

impl std::error::Error for TransportError {}
