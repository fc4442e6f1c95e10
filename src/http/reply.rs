//! From an outcome to its words: every status, error code and text is given here and nowhere else
//! (spec §9 and §15). Knows no requests and no sockets.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, HeaderValue, StatusCode as S};
use bytes::Bytes;

use crate::pipe::{Failure, MultipartFault, Notice, Reject, Sum};

use super::query::ECHO_MAX;
use super::{Code, Refusal, Reply};

/// Methods of a name (spec §4).
pub const METHODS_OF_NAMES: HeaderValue =
    HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
/// Methods of a name when `?status` is on.
pub const METHODS_WITH_STATUS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
/// Methods of reserved pages and endpoints.
pub const METHODS_OF_ENDPOINTS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

const PIPE_ERROR: HeaderName = HeaderName::from_static("x-pipe-error");

impl Reply {
    /// A reply without a body. Like every answer it may be read by pages of any origin.
    pub fn empty(status: S) -> Reply {
        let headers =
            HeaderMap::from_iter([(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]);
        Reply { status, headers, body: Bytes::new() }
    }

    /// A reply with a body of the given media type, which browsers must not guess at and caches
    /// must not keep.
    pub fn body(status: S, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
        let reply = Reply::empty(status)
            .with(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .with(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Reply { body: body.into(), ..reply }
    }

    /// A reply in plain text.
    pub fn text(status: S, text: impl Into<Bytes>) -> Reply {
        Reply::body(status, "text/plain; charset=utf-8", text)
    }

    /// The same reply with this header, in place of an earlier one of that name.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.insert(name, value);
        self
    }
}

/// The error answer to a refused request, complete (spec §15). [`Refusal::Failed`] is the answer
/// to a waiting receiver; a quiet sender gets [`quiet_failure`].
pub fn refuse(refusal: &Refusal) -> Reply {
    let reply = answer(refusal).into_reply();
    match refusal {
        Refusal::Method(_, false) => reply.with(ALLOW, METHODS_OF_NAMES),
        Refusal::Method(_, true) => reply.with(ALLOW, METHODS_WITH_STATUS),
        Refusal::PageMethod(_) => reply.with(ALLOW, METHODS_OF_ENDPOINTS),
        _ => reply,
    }
}

/// The final answer to a quiet sender whose transfer failed (spec §9).
pub fn quiet_failure(failure: &Failure) -> Reply {
    say(failure_code(failure), failure_text(failure)).into_reply()
}

/// One line of the sender's status stream, with its `\n` (spec §9).
///
/// A transfer that no receiver is left of ends with an `[INFO]` line: [`Notice::AllGone`] and
/// the failure say the same, so only one of the two is to be written.
pub fn line(notice: &Notice) -> String {
    let text = match notice {
        Notice::Waiting { n } => format!("Waiting for {n} receiver(s) to connect..."),
        Notice::AlreadyConnected { k } => format!("{k} receiver(s) already connected."),
        Notice::Connected => "A receiver connected.".into(),
        Notice::Disconnected => "A receiver disconnected.".into(),
        Notice::StillWaiting { k, n, left_s } => {
            format!("Still waiting: {k} of {n} receiver(s) connected, {left_s} s left.")
        }
        Notice::Streaming { n } => format!("Streaming to {n} receiver(s)..."),
        Notice::Dropped { limit_s } => {
            format!("A receiver was dropped: it took no data for {limit_s} s.")
        }
        Notice::AllGone | Notice::Failed(Failure::ReceiversGone) => {
            failure_text(&Failure::ReceiversGone)
        }
        Notice::UploadComplete => "Upload complete.".into(),
        Notice::Digest(digest) => format!("SHA-256: {digest}"),
        Notice::Sent(sum) => sent(sum),
        Notice::Complete => "Transfer complete.".into(),
        Notice::Failed(failure) => return format!("{}\n", failure_line(failure)),
    };
    format!("[INFO] {text}\n")
}

/// The `[ERROR]` line of a failed transfer, without `\n`; for [`Failure::ReceiversGone`] the text
/// of a quiet sender.
pub fn failure_line(failure: &Failure) -> String {
    format!("[ERROR] {}", failure_text(failure))
}

/// The code of a failure, with the status that a quiet sender gets.
pub fn failure_code(failure: &Failure) -> Code {
    match failure {
        Failure::SenderTimedOut | Failure::ReceiverTimedOut { .. } => Code::Timeout,
        Failure::SenderLost => Code::SenderLost,
        Failure::ReceiversGone => Code::ReceiversGone,
        Failure::TooShort { .. } | Failure::TooLong { .. } => Code::LengthMismatch,
        Failure::Multipart(_) => Code::Multipart,
        Failure::Idle => Code::IdleTimeout,
        Failure::Capacity => Code::ActiveCap,
        Failure::Cancelled(_) => Code::Cancelled,
        Failure::ShuttingDown => Code::Draining,
        Failure::Unavailable => Code::Unavailable,
        Failure::Internal => Code::Internal,
    }
}

/// Why a pipe failed, as `?status`, `?progress` and receipts say it (spec §9).
pub fn failure_reason(failure: &Failure) -> String {
    let reason = match failure {
        Failure::SenderTimedOut => "Timed out waiting for receivers",
        Failure::ReceiverTimedOut { .. } => "Timed out",
        Failure::SenderLost => "Sender disconnected",
        Failure::ReceiversGone => "All receivers disconnected",
        Failure::TooShort { .. } | Failure::TooLong { .. } => "Length mismatch",
        Failure::Multipart(_) => "Invalid multipart body",
        Failure::Idle => "Idle timeout",
        Failure::Capacity => "Server at capacity",
        Failure::Cancelled(Some(reason)) => return format!("Cancelled: {reason}"),
        Failure::Cancelled(None) => "Cancelled",
        Failure::ShuttingDown => "Server shutting down",
        Failure::Unavailable => "Unavailable",
        Failure::Internal => "Internal error",
    };
    reason.to_owned()
}

fn failure_text(failure: &Failure) -> String {
    match failure {
        Failure::SenderTimedOut | Failure::ReceiverTimedOut { sender_there: true } => {
            "Timed out waiting for receivers.".into()
        }
        Failure::ReceiverTimedOut { sender_there: false } => "Timed out waiting for sender.".into(),
        Failure::SenderLost => "Transfer failed — sender encountered an error.".into(),
        Failure::ReceiversGone => "All receivers disconnected before transfer completed.".into(),
        Failure::TooShort { got, declared } => format!(
            "Transfer failed — the body is shorter than X-Pipe-Length ({got} of {declared} bytes)."
        ),
        Failure::TooLong { declared } => {
            format!("Transfer failed — the body is longer than X-Pipe-Length ({declared} bytes).")
        }
        Failure::Multipart(fault) => format!("Transfer failed — {}", multipart_text(*fault)),
        Failure::Idle => "Transfer aborted — idle timeout exceeded.".into(),
        Failure::Capacity => "Server at maximum active transfer capacity.".into(),
        Failure::Cancelled(Some(reason)) => format!("Cancelled: {reason}."),
        Failure::Cancelled(None) => "Cancelled.".into(),
        Failure::ShuttingDown => "Server shutting down.".into(),
        Failure::Unavailable => "Pipe temporarily unavailable. Try again later.".into(),
        Failure::Internal => "Internal error.".into(),
    }
}

fn multipart_text(fault: MultipartFault) -> &'static str {
    match fault {
        MultipartFault::NoUsablePart => "the multipart body has no usable part.",
        MultipartFault::Late => "no multipart part arrived within 30 s.",
        MultipartFault::TextTooLarge => "the text field is larger than 1 MiB.",
    }
}

/// Seconds are rounded to one decimal in integers, so that no float prints `-0.0` or `1e3`.
fn sent(sum: &Sum) -> String {
    let tenths = sum.elapsed_ms.saturating_add(50) / 100;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let Sum { bytes, whole, n, .. } = sum;
    format!("Sent {bytes} bytes to {whole} of {n} receiver(s) in {seconds}.{tenth} s.")
}

/// The words of one error answer; the text without `[ERROR] `.
struct Answer {
    status: S,
    code: Code,
    text: String,
}

impl Answer {
    fn into_reply(self) -> Reply {
        let reply = Reply::text(self.status, format!("[ERROR] {}\n", self.text))
            .with(PIPE_ERROR, HeaderValue::from_static(self.code.as_str()));
        match self.status {
            // What fails now may succeed soon: clients with a retry option come back.
            S::REQUEST_TIMEOUT | S::TOO_MANY_REQUESTS | S::SERVICE_UNAVAILABLE => {
                reply.with(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => reply,
        }
    }
}

fn say(code: Code, text: impl Into<String>) -> Answer {
    Answer { status: code.status(), code, text: text.into() }
}

/// Status, code and text of every refusal.
fn answer(refusal: &Refusal) -> Answer {
    use Refusal as R;
    match refusal {
        R::Malformed(why) => say(Code::BadRequest, format!("Malformed HTTP request: {why}.")),
        R::HeadTooLarge => {
            say(Code::HeadTooLarge, "Request head too large (max 128 KiB and 96 fields).")
        }
        R::HeadTimeout => say(Code::HeadTimeout, "Request head timed out."),
        R::Misdirected => say(Code::Misdirected, "This host name is not served here."),
        R::BadPath => say(Code::BadPath, "Path contains forbidden characters."),
        R::PathTooLong => say(Code::PathTooLong, "Path too long (max 1024 characters)."),
        R::NotAPath(word) => say(Code::NotAPath, not_a_path(word)),
        R::Reserved(path) => say(Code::Reserved, reserved(path)),
        R::NoPage => say(Code::NoPage, "This page does not exist. Try /help."),
        R::Method(method, _) => say(Code::Method, not_allowed_on_name(method)),
        R::PageMethod(method) => say(Code::Method, format!("Method {method} is not allowed.")),
        R::NoWebSocket => not_enabled("WebSocket relay is"),
        R::NoLive => not_enabled("Live streams are"),
        R::NoSuchPage => not_enabled("This page is"),
        R::ServiceWorker => say(Code::ServiceWorker, "Service Worker requests are not allowed."),
        R::ContentRange => say(Code::ContentRange, "Content-Range headers are not supported."),
        R::Duplicate(name) => {
            say(Code::DupParam, format!("Parameter \"{name}\" is given more than once."))
        }
        R::BadTransferId => say(Code::BadTransfer, "Invalid transfer id."),
        R::UnknownTransfer => say(Code::UnknownTransfer, "Unknown or expired transfer."),
        R::BadCount => say(Code::BadN, BAD_COUNT),
        R::CountRange(got) => say(Code::BadN, count_range(got.as_deref())),
        R::CountConflict { query, header } => say(Code::BadN, count_conflict(*query, *header)),
        R::BadSeconds(name) => say(seconds_code(name), bad_seconds(name)),
        R::SecondsRange(name, got) => say(seconds_code(name), seconds_range(name, got)),
        R::BadTransfer => say(Code::BadTransfer, BAD_TRANSFER),
        R::BadLength => say(Code::BadLength, "Invalid X-Pipe-Length — decimal digits only."),
        R::LengthConflict => say(Code::BadLength, "X-Pipe-Length and Content-Length differ."),
        R::LengthMultipart => say(Code::BadLength, LENGTH_MULTIPART),
        R::BadBoundary => say(Code::BadMultipart, "Invalid multipart boundary."),
        R::EncodedMultipart => say(Code::BadMultipart, ENCODED_MULTIPART),
        R::Expectation => say(Code::Expectation, "Unsupported Expect header."),
        R::BadReason => say(Code::BadReason, BAD_REASON),
        R::NoDescriptors => say(Code::NoFds, NO_DESCRIPTORS),
        R::AddressCap => say(Code::AddressCap, ADDRESS_CAP),
        R::NoPipe(name) => say(Code::NoPipe, format!("No pipe at '/{}'.", name.as_str())),
        R::Rejected(reject, name) => rejected(reject, name.as_str()),
        R::Failed(failure) => failed(failure),
    }
}

// Texts too long for a line of the table above.
const BAD_COUNT: &str = "Invalid receiver count — \"n\" must be a positive integer.";
const BAD_TRANSFER: &str = "Invalid \"transfer\" — 16-64 characters A-Z a-z 0-9 _ -.";
const LENGTH_MULTIPART: &str = "X-Pipe-Length cannot be combined with multipart/form-data.";
const ENCODED_MULTIPART: &str = "Content-Encoding is not supported with multipart/form-data.";
const BAD_REASON: &str = "Invalid \"reason\" — at most 200 printable characters.";
const NO_DESCRIPTORS: &str = "Server is out of connections. Try again later.";
const ADDRESS_CAP: &str = "Too many waiting connections from your address. Try again later.";

fn not_a_path(word: &str) -> String {
    format!("'/{word}' is not a valid path. Use '/api/v1/pipe/{word}'.")
}

fn reserved(path: &str) -> String {
    format!("'{path}' is a reserved path. Use a custom path like '/myfile' or '/transfer123'.")
}

fn not_allowed_on_name(method: &str) -> String {
    format!("Method {method} is not allowed. Use GET, POST, PUT, or DELETE.")
}

fn not_enabled(what: &str) -> Answer {
    say(Code::NotEnabled, format!("{what} not enabled on this server."))
}

fn count_range(got: Option<&str>) -> String {
    match got {
        Some(got) => format!("Receiver count out of range (1-256, got {got})."),
        None => "Receiver count out of range (1-256).".into(),
    }
}

fn count_conflict(query: u16, header: u16) -> String {
    format!("Receiver count conflict — \"n\" is {query} but X-Pipe-N is {header}.")
}

fn seconds_code(name: &str) -> Code {
    if name == "stall" { Code::BadStall } else { Code::BadWait }
}

fn bad_seconds(name: &str) -> String {
    format!("Invalid {name} — \"{name}\" must be an integer number of seconds (1-3600).")
}

/// A long value is not echoed, as with the receiver count.
fn seconds_range(name: &str, got: &str) -> String {
    let name = if name == "stall" { "Stall" } else { "Wait" };
    if got.len() > ECHO_MAX {
        format!("{name} out of range (1-3600 seconds).")
    } else {
        format!("{name} out of range (1-3600 seconds, got {got}).")
    }
}

/// The owner's refusals.
fn rejected(reject: &Reject, name: &str) -> Answer {
    match reject {
        Reject::Active => {
            say(Code::Active, format!("Path '/{name}' is already in use by an active transfer."))
        }
        Reject::SenderTaken => {
            say(Code::SenderTaken, format!("Path '/{name}' already has a sender connected."))
        }
        Reject::SlotsFull { n } => say(
            Code::SlotsFull,
            format!("All {n} receiver slot(s) for '/{name}' are already taken."),
        ),
        Reject::Mismatch { expected, got } => say(
            Code::NMismatch,
            format!("Receiver count mismatch — expected {expected} but got {got}."),
        ),
        Reject::TransferTaken => say(Code::TransferTaken, "Transfer id already in use."),
        Reject::PendingCap => say(Code::PendingCap, "Too many pending transfers. Try again later."),
        Reject::SpectatorCap => say(Code::SpectatorCap, "Too many spectators. Try again later."),
    }
}

/// What a waiting receiver is answered.
fn failed(failure: &Failure) -> Answer {
    let text = match failure {
        Failure::Capacity => "Server at maximum active transfer capacity. Try again later.".into(),
        _ => failure_text(failure),
    };
    let code = failure_code(failure);
    Answer { status: code.status_of_waiter(), code, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, code and body of an error answer in one line, `again` if it says when to come back.
    fn shown(reply: &Reply) -> String {
        let header = |name: &HeaderName| {
            reply.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
        };
        let again = if header(&RETRY_AFTER) == "1" { " again" } else { "" };
        let body = String::from_utf8_lossy(&reply.body);
        format!("{} {}{again} {body}", reply.status.as_u16(), header(&PIPE_ERROR))
    }

    fn all_shown(refusals: &[Refusal]) -> String {
        refusals.iter().map(|refusal| shown(&refuse(refusal))).collect()
    }

    #[test]
    fn refusals_before_the_parameters() {
        use Refusal::*;
        let refusals = [
            Malformed("no host"),
            HeadTooLarge,
            HeadTimeout,
            Misdirected,
            BadPath,
            PathTooLong,
            NotAPath("health".into()),
            Reserved("/help".into()),
            NoPage,
            Method("PATCH".into(), false),
            PageMethod("DELETE".into()),
            NoWebSocket,
            NoLive,
            NoSuchPage,
            ServiceWorker,
            ContentRange,
        ];
        let expected = "\
400 bad_request [ERROR] Malformed HTTP request: no host.
431 head_too_large [ERROR] Request head too large (max 128 KiB and 96 fields).
408 head_timeout again [ERROR] Request head timed out.
421 misdirected [ERROR] This host name is not served here.
400 bad_path [ERROR] Path contains forbidden characters.
414 path_too_long [ERROR] Path too long (max 1024 characters).
404 not_a_path [ERROR] '/health' is not a valid path. Use '/api/v1/pipe/health'.
400 reserved [ERROR] '/help' is a reserved path. Use a custom path like '/myfile' or '/transfer123'.
404 no_page [ERROR] This page does not exist. Try /help.
405 method [ERROR] Method PATCH is not allowed. Use GET, POST, PUT, or DELETE.
405 method [ERROR] Method DELETE is not allowed.
501 not_enabled [ERROR] WebSocket relay is not enabled on this server.
501 not_enabled [ERROR] Live streams are not enabled on this server.
501 not_enabled [ERROR] This page is not enabled on this server.
400 service_worker [ERROR] Service Worker requests are not allowed.
400 content_range [ERROR] Content-Range headers are not supported.
";
        assert_eq!(all_shown(&refusals), expected);
    }

    #[test]
    fn refusals_of_parameters() {
        use Refusal::*;
        let refusals = [
            Duplicate("n"),
            BadCount,
            CountRange(Some("257".into())),
            CountRange(None),
            CountConflict { query: 3, header: 4 },
            BadSeconds("wait"),
            BadSeconds("stall"),
            SecondsRange("wait", "0".into()),
            SecondsRange("stall", "9".repeat(20)),
            SecondsRange("wait", "9".repeat(21)),
            BadTransfer,
            BadTransferId,
            UnknownTransfer,
            BadLength,
            LengthConflict,
            LengthMultipart,
            BadBoundary,
            EncodedMultipart,
            Expectation,
            BadReason,
        ];
        let expected = "\
400 dup_param [ERROR] Parameter \"n\" is given more than once.
400 bad_n [ERROR] Invalid receiver count — \"n\" must be a positive integer.
400 bad_n [ERROR] Receiver count out of range (1-256, got 257).
400 bad_n [ERROR] Receiver count out of range (1-256).
400 bad_n [ERROR] Receiver count conflict — \"n\" is 3 but X-Pipe-N is 4.
400 bad_wait [ERROR] Invalid wait — \"wait\" must be an integer number of seconds (1-3600).
400 bad_stall [ERROR] Invalid stall — \"stall\" must be an integer number of seconds (1-3600).
400 bad_wait [ERROR] Wait out of range (1-3600 seconds, got 0).
400 bad_stall [ERROR] Stall out of range (1-3600 seconds, got 99999999999999999999).
400 bad_wait [ERROR] Wait out of range (1-3600 seconds).
400 bad_transfer [ERROR] Invalid \"transfer\" — 16-64 characters A-Z a-z 0-9 _ -.
400 bad_transfer [ERROR] Invalid transfer id.
404 unknown_transfer [ERROR] Unknown or expired transfer.
400 bad_length [ERROR] Invalid X-Pipe-Length — decimal digits only.
400 bad_length [ERROR] X-Pipe-Length and Content-Length differ.
400 bad_length [ERROR] X-Pipe-Length cannot be combined with multipart/form-data.
400 bad_multipart [ERROR] Invalid multipart boundary.
400 bad_multipart [ERROR] Content-Encoding is not supported with multipart/form-data.
417 expectation [ERROR] Unsupported Expect header.
400 bad_reason [ERROR] Invalid \"reason\" — at most 200 printable characters.
";
        assert_eq!(all_shown(&refusals), expected);
    }

    #[test]
    fn refusals_of_the_node_and_of_the_owner() {
        let name = || crate::pipe::PipePath::new("my/path").unwrap();
        let rejected = |reject| Refusal::Rejected(reject, name());
        let refusals = [
            Refusal::NoDescriptors,
            Refusal::AddressCap,
            Refusal::NoPipe(name()),
            rejected(Reject::Active),
            rejected(Reject::SenderTaken),
            rejected(Reject::SlotsFull { n: 2 }),
            rejected(Reject::Mismatch { expected: 2, got: 1 }),
            rejected(Reject::TransferTaken),
            rejected(Reject::PendingCap),
            rejected(Reject::SpectatorCap),
        ];
        let expected = "\
503 no_fds again [ERROR] Server is out of connections. Try again later.
429 address_cap again [ERROR] Too many waiting connections from your address. Try again later.
404 no_pipe [ERROR] No pipe at '/my/path'.
400 active [ERROR] Path '/my/path' is already in use by an active transfer.
400 sender_taken [ERROR] Path '/my/path' already has a sender connected.
400 slots_full [ERROR] All 2 receiver slot(s) for '/my/path' are already taken.
400 n_mismatch [ERROR] Receiver count mismatch — expected 2 but got 1.
409 transfer_taken [ERROR] Transfer id already in use.
429 pending_cap again [ERROR] Too many pending transfers. Try again later.
429 spectator_cap again [ERROR] Too many spectators. Try again later.
";
        assert_eq!(all_shown(&refusals), expected);
    }

    fn failures() -> [Failure; 17] {
        [
            Failure::SenderTimedOut,
            Failure::ReceiverTimedOut { sender_there: false },
            Failure::ReceiverTimedOut { sender_there: true },
            Failure::SenderLost,
            Failure::ReceiversGone,
            Failure::TooShort { got: 3, declared: 10 },
            Failure::TooLong { declared: 10 },
            Failure::Multipart(MultipartFault::NoUsablePart),
            Failure::Multipart(MultipartFault::Late),
            Failure::Multipart(MultipartFault::TextTooLarge),
            Failure::Idle,
            Failure::Capacity,
            Failure::Cancelled(Some("drift".into())),
            Failure::Cancelled(None),
            Failure::ShuttingDown,
            Failure::Unavailable,
            Failure::Internal,
        ]
    }

    const QUIET: &str = "\
408 timeout again [ERROR] Timed out waiting for receivers.
408 timeout again [ERROR] Timed out waiting for sender.
408 timeout again [ERROR] Timed out waiting for receivers.
502 sender_lost [ERROR] Transfer failed — sender encountered an error.
502 receivers_gone [ERROR] All receivers disconnected before transfer completed.
502 length_mismatch [ERROR] Transfer failed — the body is shorter than X-Pipe-Length (3 of 10 bytes).
502 length_mismatch [ERROR] Transfer failed — the body is longer than X-Pipe-Length (10 bytes).
502 multipart [ERROR] Transfer failed — the multipart body has no usable part.
502 multipart [ERROR] Transfer failed — no multipart part arrived within 30 s.
502 multipart [ERROR] Transfer failed — the text field is larger than 1 MiB.
502 idle_timeout [ERROR] Transfer aborted — idle timeout exceeded.
429 active_cap again [ERROR] Server at maximum active transfer capacity.
410 cancelled [ERROR] Cancelled: drift.
410 cancelled [ERROR] Cancelled.
503 draining again [ERROR] Server shutting down.
503 unavailable again [ERROR] Pipe temporarily unavailable. Try again later.
500 internal [ERROR] Internal error.
";

    #[test]
    fn failures_of_a_quiet_sender() {
        let replies = failures().map(|failure| shown(&quiet_failure(&failure)));
        assert_eq!(replies.concat(), QUIET);
    }

    #[test]
    fn failures_of_a_waiting_receiver() {
        let capacity = "Server at maximum active transfer capacity.";
        let expected =
            QUIET.replace("502", "500").replace(capacity, &format!("{capacity} Try again later."));
        let replies = failures().map(|failure| shown(&refuse(&Refusal::Failed(failure))));
        assert_eq!(replies.concat(), expected);
    }

    #[test]
    fn reasons_are_words_without_a_full_stop() {
        let expected = "\
Timed out waiting for receivers
Timed out
Timed out
Sender disconnected
All receivers disconnected
Length mismatch
Length mismatch
Invalid multipart body
Invalid multipart body
Invalid multipart body
Idle timeout
Server at capacity
Cancelled: drift
Cancelled
Server shutting down
Unavailable
Internal error
";
        let reasons = failures().map(|failure| failure_reason(&failure) + "\n");
        assert_eq!(reasons.concat(), expected);
    }

    #[test]
    fn a_failure_line_is_what_a_quiet_sender_reads() {
        for (failure, reply) in failures().iter().zip(QUIET.lines()) {
            let line = failure_line(failure);
            assert!(line.starts_with("[ERROR] ") && reply.ends_with(&line), "{line}");
        }
    }

    #[test]
    fn errors_carry_all_their_headers() {
        let reply = refuse(&Refusal::Failed(Failure::Unavailable));
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("access-control-allow-origin", "*"),
            ("x-pipe-error", "unavailable"),
            ("retry-after", "1"),
        ] {
            assert_eq!(reply.headers.get(name), Some(&HeaderValue::from_static(value)));
        }
        assert_eq!(reply.headers.len(), 6);
        assert_eq!(refuse(&Refusal::BadPath).headers.len(), 5);
    }

    #[test]
    fn a_refused_method_learns_which_are_allowed() {
        for (refusal, allow) in [
            (Refusal::Method("PATCH".into(), false), "GET, POST, PUT, DELETE, OPTIONS"),
            (Refusal::Method("PATCH".into(), true), "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
            (Refusal::PageMethod("PATCH".into()), "GET, HEAD, OPTIONS"),
        ] {
            assert_eq!(refuse(&refusal).headers.get(ALLOW), Some(&HeaderValue::from_static(allow)));
        }
    }

    #[test]
    fn every_notice_is_one_line() {
        let sum = |elapsed_ms| Notice::Sent(Sum { bytes: 1234, whole: 29, n: 30, elapsed_ms });
        let notices = [
            Notice::Waiting { n: 3 },
            Notice::AlreadyConnected { k: 1 },
            Notice::Connected,
            Notice::Disconnected,
            Notice::StillWaiting { k: 2, n: 3, left_s: 275 },
            Notice::Streaming { n: 3 },
            Notice::Dropped { limit_s: 300 },
            Notice::AllGone,
            Notice::Failed(Failure::ReceiversGone),
            Notice::UploadComplete,
            Notice::Digest("ab12".into()),
            sum(49),
            sum(50),
            sum(61_960),
            Notice::Complete,
            Notice::Failed(Failure::Capacity),
            Notice::Failed(Failure::Cancelled(None)),
        ];
        let expected = "\
[INFO] Waiting for 3 receiver(s) to connect...
[INFO] 1 receiver(s) already connected.
[INFO] A receiver connected.
[INFO] A receiver disconnected.
[INFO] Still waiting: 2 of 3 receiver(s) connected, 275 s left.
[INFO] Streaming to 3 receiver(s)...
[INFO] A receiver was dropped: it took no data for 300 s.
[INFO] All receivers disconnected before transfer completed.
[INFO] All receivers disconnected before transfer completed.
[INFO] Upload complete.
[INFO] SHA-256: ab12
[INFO] Sent 1234 bytes to 29 of 30 receiver(s) in 0.0 s.
[INFO] Sent 1234 bytes to 29 of 30 receiver(s) in 0.1 s.
[INFO] Sent 1234 bytes to 29 of 30 receiver(s) in 62.0 s.
[INFO] Transfer complete.
[ERROR] Server at maximum active transfer capacity.
[ERROR] Cancelled.
";
        assert_eq!(notices.iter().map(line).collect::<String>(), expected);
    }
}
