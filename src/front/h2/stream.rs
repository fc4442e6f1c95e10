//! One HTTP/2 request: its head as the rooms below know it, and who answers it.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use ::h2::RecvStream;
use ::h2::server::SendResponse;
use ::http::header::{CONTENT_LENGTH, HOST};
use ::http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use bytes::Bytes;
use tokio::time::timeout;

use super::answer::Answer;
use super::body::StreamBody;
use super::wire::Account;
use super::{Shared, receive, send, watch};
use crate::front::context::length_of;
use crate::front::h1::decimal;
use crate::front::transport::Socket;
use crate::http::admission::{Decision, decide};
use crate::http::headers::head_of;
use crate::http::request::is_host;
use crate::http::{BodyKind, Refusal, RequestHead, forwarded, reply, status};
use crate::meter::{self, Rejection};

/// Between the end of an answer and a reset. Some clients drop what they have not looked at when the
/// reset comes (spec §9, "how a failure ends").
pub const BEFORE_RESET: Duration = Duration::from_millis(50);

/// Most fields of a head (spec §20).
const FIELDS_MAX: usize = 96;

/// One request while it is served.
pub struct Exchange {
    /// What goes back.
    pub answer: Answer,
    /// What comes in, unless somebody has taken it to read it.
    pub body: Option<StreamBody>,
    /// What the streams of its connection share.
    pub shared: Rc<Shared>,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
    head_only: bool,
}

/// Serves one stream to its end.
pub async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    account: Account,
    shared: Rc<Shared>,
) {
    let (parts, body) = request.into_parts();
    let kind = body_kind(&parts.headers, body.is_end_stream());
    let head = RequestHead {
        target: target_of(&parts.method, &parts.uri),
        method: parts.method,
        version: Version::HTTP_2,
        headers: parts.headers,
        // Nothing is read of a request that is refused.
        body: kind.as_ref().map_or(BodyKind::Stream, |kind| *kind),
        peer: shared.peer,
        secure: shared.io.is_secure(),
    };
    let answer = Answer::new(respond, account);
    let head_only = head.method == Method::HEAD;
    let client = shared.peer;
    let body = Some(StreamBody::new(body));
    let mut x = Exchange { answer, body, shared, client, head_only };
    match kind.and_then(|_| with_host(head, &parts.uri)) {
        Ok(_) if !x.shared.room => {
            meter::rejected(Rejection::NoFds);
            Box::pin(x.refuse(&Refusal::NoDescriptors)).await;
        }
        Ok(head) => {
            x.client = forwarded::client_address(head.peer, &head.headers, &x.shared.ctx.trusted);
            Box::pin(x.serve(&head)).await;
        }
        Err(refusal) => Box::pin(x.refuse(&refusal)).await,
    }
}

impl Exchange {
    async fn serve(mut self, head: &RequestHead) {
        match decide(head, &self.shared.ctx.policy) {
            Ok(Decision::Send(request)) => {
                // The declared end is only known to be the end when the stream has ended too.
                let declared = length_of(head).filter(|_| request.multipart_boundary.is_none());
                let length = request.pipe_length.or(declared);
                let head = head_of(&head.headers, length);
                Box::pin(send::exchange(self, request, head, length)).await;
            }
            Ok(Decision::Receive(request)) => {
                let body = self.body.take();
                without(body, Box::pin(receive::exchange(self, request))).await;
            }
            Ok(Decision::Status(request)) => {
                match status::answer(&self.shared.ctx.edge, request).await {
                    Ok(reply) => self.finish(reply).await,
                    Err(refusal) => self.refuse(&refusal).await,
                }
            }
            Ok(Decision::Watch(request)) => {
                let body = self.body.take();
                without(body, Box::pin(watch::exchange(self, request))).await;
            }
            Ok(Decision::Cancel(request)) => match self.shared.ctx.cancel(request).await {
                Ok(reply) => self.finish(reply).await,
                Err(refusal) => self.refuse(&refusal).await,
            },
            decision => {
                let reply = self.shared.site.reply(decision, head);
                self.finish(reply).await;
            }
        }
    }

    /// The socket of the connection.
    pub fn socket(&self) -> Socket {
        self.shared.io.socket().clone()
    }

    /// Gives a whole answer. A body that does not end by itself soon after is refused: the h2 crate
    /// resets a stream whose answer is complete with NO_ERROR (RFC 9113 §8.1).
    pub async fn finish(mut self, reply: crate::http::Reply) {
        let spoken = self.answer.reply(reply, self.head_only);
        let Some(mut body) = self.body.take() else { return spoken.await };
        body.ignore_during(spoken).await;
        let _ = timeout(BEFORE_RESET, body.discard()).await;
    }

    /// Refuses without reading the body.
    pub async fn refuse(self, refusal: &Refusal) {
        self.finish(reply::refuse(refusal)).await;
    }
}

/// Does `work` for a request of which nobody wants the body.
async fn without(body: Option<StreamBody>, work: impl Future<Output = ()>) {
    match body {
        Some(mut body) => body.ignore_during(work).await,
        None => work.await,
    }
}

/// The target as HTTP/1.1 would write it.
fn target_of(method: &Method, uri: &Uri) -> Vec<u8> {
    let text = match (method, uri.authority(), uri.path_and_query()) {
        (&Method::CONNECT, Some(authority), _) => authority.as_str(),
        (_, _, Some(target)) => target.as_str(),
        (_, _, None) => "/",
    };
    text.as_bytes().to_vec()
}

/// How long the body is, as over HTTP/1.1: at most one length, and that a number. The h2 crate refuses
/// one that differs from what comes.
fn body_kind(headers: &HeaderMap, ended: bool) -> Result<BodyKind, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => return Err(Refusal::Malformed("more than one Content-Length")),
        (length, _) => length.map(|length| decimal(length.as_bytes())).transpose()?,
    };
    Ok(match (ended, length) {
        (true, _) => BodyKind::Empty,
        (false, Some(length)) => BodyKind::Length(length),
        (false, None) => BodyKind::Stream,
    })
}

/// The same checks as for HTTP/1.1: few fields, and exactly one well-formed Host, which the authority
/// replaces.
fn with_host(mut head: RequestHead, uri: &Uri) -> Result<RequestHead, Refusal> {
    if head.headers.len() > FIELDS_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    if let Some(authority) = uri.authority().map(|authority| authority.as_str().as_bytes()) {
        let host = HeaderValue::from_bytes(authority).ok();
        head.headers.insert(HOST, host.ok_or(Refusal::Malformed("the authority is malformed"))?);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(head),
        (Some(_), None) => Err(Refusal::Malformed("the Host is malformed")),
        (Some(_), Some(_)) => Err(Refusal::Malformed("more than one Host")),
        (None, _) => Err(Refusal::Malformed("no Host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, hosts: &[&str]) -> Result<RequestHead, Refusal> {
        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let head = RequestHead {
            target: target_of(&Method::GET, &uri),
            method: Method::GET,
            version: Version::HTTP_2,
            headers,
            body: BodyKind::Empty,
            peer: [127, 0, 0, 1].into(),
            secure: true,
        };
        with_host(head, &uri)
    }

    fn host_of(head: Result<RequestHead, Refusal>) -> Option<String> {
        let head = head.ok()?;
        head.headers.get(HOST)?.to_str().ok().map(str::to_owned)
    }

    #[test]
    fn the_authority_is_the_host() {
        assert_eq!(host_of(head("https://a.example:1/x", &[])).as_deref(), Some("a.example:1"));
        assert_eq!(host_of(head("https://a/x", &["b", "c"])).as_deref(), Some("a"));
        assert_eq!(host_of(head("/x", &["b"])).as_deref(), Some("b"));
        for (uri, hosts) in [("/x", &[][..]), ("/x", &["a", "b"]), ("/x", &["a/b"])] {
            assert!(matches!(head(uri, hosts), Err(Refusal::Malformed(_))), "{uri} {hosts:?}");
        }
        assert!(matches!(head("https://a@b/x", &[]), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn there_is_at_most_one_length_and_it_is_a_number() {
        let kind = |lengths: &[&'static str], ended| {
            let values = lengths.iter().map(|v| (CONTENT_LENGTH, HeaderValue::from_static(v)));
            let mut headers = HeaderMap::new();
            values.for_each(|(name, value)| _ = headers.append(name, value));
            body_kind(&headers, ended)
        };
        assert!(matches!(kind(&[], true), Ok(BodyKind::Empty)));
        assert!(matches!(kind(&["0"], true), Ok(BodyKind::Empty)));
        assert!(matches!(kind(&[], false), Ok(BodyKind::Stream)));
        assert!(matches!(kind(&["05"], false), Ok(BodyKind::Length(5))));
        for wrong in [&["5", "5"][..], &["5", "7"], &[""], &["+5"], &["5,5"], &["0x5"]] {
            assert!(matches!(kind(wrong, false), Err(Refusal::Malformed(_))), "{wrong:?}");
            assert!(matches!(kind(wrong, true), Err(Refusal::Malformed(_))), "{wrong:?}");
        }
    }

    #[test]
    fn the_target_is_path_and_query_as_they_came() {
        for (uri, target) in [
            ("https://a/x%2F?n=3&n=3", "/x%2F?n=3&n=3"),
            ("https://a", "/"),
            ("*", "*"),
            ("/a//b?", "/a//b?"),
        ] {
            let got = target_of(&Method::GET, &uri.parse().unwrap());
            assert_eq!(String::from_utf8_lossy(&got), target);
        }
        let uri = "a.example:443".parse().unwrap();
        assert_eq!(target_of(&Method::CONNECT, &uri), b"a.example:443");
    }

    #[test]
    fn ninety_six_fields_are_enough() {
        let mut fields = HeaderMap::new();
        for at in 0..97 {
            let name: ::http::HeaderName = format!("x-{at}").parse().unwrap();
            fields.insert(name, HeaderValue::from_static("v"));
        }
        let mut good = head("https://a/x", &[]).ok().unwrap();
        good.headers = fields;
        let uri = "https://a/x".parse().unwrap();
        assert!(matches!(with_host(good, &uri), Err(Refusal::HeadTooLarge)));
    }
}
