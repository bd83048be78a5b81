//! Why the network side dropped a packet; forwarding has reasons of its own.

macro_rules! network_drops {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// Why a datagram received, or a packet to be sent, went no further.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum NetworkDrop { $($(#[doc = $doc])+ $name,)* }

        impl NetworkDrop {
            pub(crate) const ALL: &'static [NetworkDrop] = &[$(NetworkDrop::$name,)*];

            /// Stable name for metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(NetworkDrop::$name => $text,)* }
            }

            /// What happened to the packet.
            pub(crate) fn help(self) -> &'static str {
                match self { $(NetworkDrop::$name => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

network_drops! {
    /// More came than the worker took in time: the kernel's receive buffer was full.
    ReceiveBufferFull = "receive_buffer_full",
    /// Larger than any packet of ours.
    Oversize = "oversize",
    /// Neither STUN, DTLS nor RTP (RFC 7983).
    UnknownFirstByte = "unknown_first_byte",
    /// Not STUN, or not a binding request.
    StunMalformed = "stun_malformed",
    /// A check for a transport that there is not.
    StunUnknownUfrag = "stun_unknown_ufrag",
    /// A check with a wrong or without a password, or otherwise not valid.
    StunRefused = "stun_refused",
    /// A check from the address of another transport's peer.
    StunAddressTaken = "stun_address_taken",
    /// No transport has validated this address.
    UnknownAddress = "unknown_address",
    /// The DTLS handshake of the transport has not ended.
    NoKeys = "no_keys",
    /// No chain of whole DTLS 1.2 records with messages of a handshake.
    DtlsMalformed = "dtls_malformed",
    /// A DTLS alert without protection: anybody can write it.
    DtlsClearAlert = "dtls_clear_alert",
    /// DTLS application data: there are no data channels.
    DtlsApplicationData = "dtls_application_data",
    /// More DTLS datagrams of one transport than handshakes take.
    DtlsFlood = "dtls_flood",
    /// Too short for SRTP, or its header points behind its end.
    SrtpMalformed = "srtp_malformed",
    /// SRTP authentication failed.
    SrtpBadTag = "srtp_bad_tag",
    /// Seen before, or older than the replay window.
    SrtpReplayed = "srtp_replayed",
    /// The peer uses more SSRCs than are kept.
    SrtpTooManyStreams = "srtp_too_many_streams",
    /// SRTP refused it for another reason.
    SrtpRefused = "srtp_refused",
    /// The control plane is behind: its ring of events is full.
    EventRingFull = "event_ring_full",
    /// To be sent to a transport that no address has validated, or that is closed.
    SendNoAddress = "send_no_address",
    /// To be sent where nobody has answered a check of ours yet, beyond what such an address gets.
    SendPathUnproven = "send_path_unproven",
    /// To be sent before the DTLS handshake ended.
    SendNoKeys = "send_no_keys",
    /// The packet could not be protected with SRTP.
    SendNotProtected = "send_not_protected",
    /// The kernel's send buffer is full.
    SendBufferFull = "send_buffer_full",
    /// The peer's connection takes less than is sent to it.
    SendConnectionBehind = "send_connection_behind",
    /// The peer's connection has ended.
    SendConnectionGone = "send_connection_gone",
    /// Larger than the path to the peer carries.
    SendTooLarge = "send_too_large",
    /// The kernel refused it for another reason (no route, a firewall).
    SendFailed = "send_failed",
}
