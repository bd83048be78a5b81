//! Drop reasons of the network side; forwarding has its own.

macro_rules! network_drops {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// Why a received datagram or a packet to send was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum NetworkDrop { $($(#[doc = $doc])+ $name,)* }

        impl NetworkDrop {
            pub(crate) const ALL: &'static [NetworkDrop] = &[$(NetworkDrop::$name,)*];

            /// Stable name for metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(NetworkDrop::$name => $text,)* }
            }

            /// Help text for metrics.
            pub(crate) fn help(self) -> &'static str {
                match self { $(NetworkDrop::$name => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

network_drops! {
    /// The kernel's receive buffer was full: datagrams arrived faster than the worker read them.
    ReceiveBufferFull = "receive_buffer_full",
    /// Larger than any valid packet.
    Oversize = "oversize",
    /// The first byte is not that of STUN, DTLS or RTP (RFC 7983).
    UnknownFirstByte = "unknown_first_byte",
    /// Not a valid STUN message, or not a request and from an unknown address.
    StunMalformed = "stun_malformed",
    /// A check for a transport that does not exist.
    StunUnknownUfrag = "stun_unknown_ufrag",
    /// A check or response that does not authenticate, or is otherwise invalid.
    StunRefused = "stun_refused",
    /// A check from an address that belongs to another transport's peer.
    StunAddressTaken = "stun_address_taken",
    /// No transport has validated the source address.
    UnknownAddress = "unknown_address",
    /// The transport's DTLS handshake has not finished.
    NoKeys = "no_keys",
    /// Not a sequence of whole DTLS 1.2 records with handshake messages.
    DtlsMalformed = "dtls_malformed",
    /// An unprotected DTLS alert, which anybody can forge.
    DtlsClearAlert = "dtls_clear_alert",
    /// DTLS application data; data channels are not supported.
    DtlsApplicationData = "dtls_application_data",
    /// More DTLS datagrams than handshakes take.
    DtlsFlood = "dtls_flood",
    /// Too short for SRTP, or its header extends past its end.
    SrtpMalformed = "srtp_malformed",
    /// SRTP authentication failed.
    SrtpBadTag = "srtp_bad_tag",
    /// Already received, or older than the replay window.
    SrtpReplayed = "srtp_replayed",
    /// The peer uses more SSRCs than allowed.
    SrtpTooManyStreams = "srtp_too_many_streams",
    /// SRTP failed for another reason.
    SrtpRefused = "srtp_refused",
    /// A record of a tap's reader that neither requests a key frame nor has a packet to publish.
    TapRecordRefused = "tap_record_refused",
    /// A tap's reader published more packets than it may.
    TapRateExceeded = "tap_rate_exceeded",
    /// Key frames that a tap's reader requested beyond what it may.
    TapFlood = "tap_flood",
    /// The ring to another worker of this process is full: that worker does not keep up.
    TrunkFull = "trunk_full",
    /// The other worker of this process has ended.
    TrunkGone = "trunk_gone",
    /// It came from another worker of this process for a stream that has just ended.
    TrunkClosed = "trunk_closed",
    /// The event ring is full: the control plane does not keep up.
    EventRingFull = "event_ring_full",
    /// The transport to send to has no validated address, or is closed.
    SendNoAddress = "send_no_address",
    /// The destination has not proven its address: it gets no media, and few other packets.
    SendPathUnproven = "send_path_unproven",
    /// The DTLS handshake of the transport to send to has not finished.
    SendNoKeys = "send_no_keys",
    /// The packet could not be protected with SRTP.
    SendNotProtected = "send_not_protected",
    /// The kernel's send buffer is full.
    SendBufferFull = "send_buffer_full",
    /// The peer's TCP connection is slower than the packets sent over it.
    SendConnectionBehind = "send_connection_behind",
    /// The peer's TCP connection has ended.
    SendConnectionGone = "send_connection_gone",
    /// Larger than the path to the peer allows.
    SendTooLarge = "send_too_large",
    /// The kernel refused the packet for another reason (no route, a firewall).
    SendFailed = "send_failed",
}
