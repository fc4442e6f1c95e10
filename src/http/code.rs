//! Every code that `X-Pipe-Error` can have, with its status (spec §9, §15). The answers and their
//! description in `openapi.json` are made from this one list.

use ::http::StatusCode;

/// Makes the enum, its list, its spelling and its statuses from one table.
macro_rules! codes {
    ($($name:ident $status:ident $text:literal $when:literal,)*) => {
        /// The code of an error answer, for programs; its text is for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $when] $name,)*
        }

        impl Code {
            /// Every one there is.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// As it stands in the header.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The status it comes with.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)* }
            }

            /// When it is given, for the description.
            pub fn when(self) -> &'static str {
                match self { $(Code::$name => $when,)* }
            }
        }
    };
}

impl Code {
    /// The status it comes with for a waiting receiver. It is no gateway's client, so a sender's
    /// fault that it meets before its headers is a plain 500 (spec §14).
    pub fn status_of_waiter(self) -> StatusCode {
        match self.status() {
            StatusCode::BAD_GATEWAY => StatusCode::INTERNAL_SERVER_ERROR,
            status => status,
        }
    }
}

codes! {
    BadRequest BAD_REQUEST "bad_request" "the HTTP request is malformed",
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "head_too_large" "the request head is over 128 KiB or 96 fields",
    HeadTimeout REQUEST_TIMEOUT "head_timeout" "the request head did not arrive within 10 s",
    Misdirected MISDIRECTED_REQUEST "misdirected" "the host is not served here",
    BadPath BAD_REQUEST "bad_path" "the path has forbidden characters",
    PathTooLong URI_TOO_LONG "path_too_long" "the name or the target is too long",
    NotAPath NOT_FOUND "not_a_path" "an endpoint outside of its prefix",
    Reserved BAD_REQUEST "reserved" "a reserved page cannot be sent to",
    NoPage NOT_FOUND "no_page" "there is no such page",
    Method METHOD_NOT_ALLOWED "method" "the method is not allowed here",
    NotEnabled NOT_IMPLEMENTED "not_enabled" "a switch of a later version",
    ServiceWorker BAD_REQUEST "service_worker" "service workers are refused",
    ContentRange BAD_REQUEST "content_range" "Content-Range is not supported",
    DupParam BAD_REQUEST "dup_param" "a known parameter is given twice",
    BadN BAD_REQUEST "bad_n" "n is no number from 1 to 256, or differs from X-Pipe-N",
    BadWait BAD_REQUEST "bad_wait" "wait is no number of seconds from 1 to 3600",
    BadStall BAD_REQUEST "bad_stall" "stall is no number of seconds from 1 to 3600",
    BadTransfer BAD_REQUEST "bad_transfer" "the transfer id is malformed",
    BadLength BAD_REQUEST "bad_length" "X-Pipe-Length is malformed or contradicts the request",
    BadMultipart BAD_REQUEST "bad_multipart" "the multipart head cannot be used",
    Expectation EXPECTATION_FAILED "expectation" "the expectation is unknown",
    BadReason BAD_REQUEST "bad_reason" "the reason is too long or not printable",
    Active BAD_REQUEST "active" "a transfer runs at this name",
    SenderTaken BAD_REQUEST "sender_taken" "a sender waits at this name already",
    SlotsFull BAD_REQUEST "slots_full" "all receivers are there already",
    NMismatch BAD_REQUEST "n_mismatch" "the others stated another n",
    TransferTaken CONFLICT "transfer_taken" "the transfer id is in use",
    NoPipe NOT_FOUND "no_pipe" "nobody is at this name",
    UnknownTransfer NOT_FOUND "unknown_transfer" "the transfer is unknown, or was forgotten",
    Timeout REQUEST_TIMEOUT "timeout" "the wait passed",
    Cancelled GONE "cancelled" "somebody cancelled",
    PendingCap TOO_MANY_REQUESTS "pending_cap" "too many names wait",
    ActiveCap TOO_MANY_REQUESTS "active_cap" "too many transfers run",
    AddressCap TOO_MANY_REQUESTS "address_cap" "too many requests of this address wait",
    SpectatorCap TOO_MANY_REQUESTS "spectator_cap" "too many spectators",
    Internal INTERNAL_SERVER_ERROR "internal" "a defect of the relay",
    SenderLost BAD_GATEWAY "sender_lost" "the upload was lost or malformed",
    ReceiversGone BAD_GATEWAY "receivers_gone" "no receiver is left",
    LengthMismatch BAD_GATEWAY "length_mismatch" "the body is shorter or longer than X-Pipe-Length",
    Multipart BAD_GATEWAY "multipart" "the multipart body has nothing that can be sent",
    IdleTimeout BAD_GATEWAY "idle_timeout" "the sender was silent for too long",
    NoFds SERVICE_UNAVAILABLE "no_fds" "the relay is out of descriptors",
    Draining SERVICE_UNAVAILABLE "draining" "the relay is stopping",
    Unavailable SERVICE_UNAVAILABLE "unavailable" "the pipe cannot be reached for now",
}
