//! Answers of HTTP/1.x as a strict client reads them: the head, and a decoder of the body that is
//! fed by hand. Knows no sockets.

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Last chunk, full length, or FIN of a close-delimited body.
    Clean,
    /// FIN before the end that the framing promised.
    Short,
    /// RST.
    Reset,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Names as sent, values trimmed, in order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// Parses what stands before the empty line.
    pub fn parse(text: &str) -> Head {
        let mut lines = text.split("\r\n");
        let first = lines.next().expect("a split has a first part");
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap().to_owned();
        assert!(version == "HTTP/1.1" || version == "HTTP/1.0", "not a status line: {first:?}");
        let status = words.next().and_then(|code| code.parse().ok()).expect("a status code");
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("not a field: {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Head { version, status, headers }
    }

    /// The value of the first field `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of the field `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// The names in lower case, sorted, without those that belong to the connection.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.retain(|name| name != "date" && name != "connection");
        names.sort();
        names
    }

    /// Fails unless the status is `status`.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Head {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails unless the field `name` is there once with `value`.
    #[track_caller]
    pub fn expect_field(&self, name: &str, value: &str) -> &Head {
        assert_eq!(self.all(name), [value], "field {name} of {self:?}");
        self
    }
}

/// Takes a body out of the bytes that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// Nothing (more) to come.
    Done,
    /// So many bytes are left of a known length.
    Length(u64),
    /// A size line comes next.
    ChunkSize,
    /// So many bytes are left of this chunk.
    ChunkData(u64),
    /// The line end behind a chunk comes next.
    ChunkEnd,
    /// Everything up to the end of the connection.
    UntilClose,
}

/// What the decoder found.
pub enum Step {
    /// Some bytes of the body.
    Data(Vec<u8>),
    /// The body is complete.
    Complete,
    /// More bytes are needed.
    Starved,
}

impl Decoder {
    /// The decoder for the body behind `head`; `headless` for answers to HEAD.
    pub fn for_answer(head: &Head, headless: bool) -> Decoder {
        let length = head.get("content-length").map(|text| text.parse().expect("a length"));
        let chunked = head.get("transfer-encoding").is_some();
        assert!(!(chunked && length.is_some()), "two framings: {head:?}");
        assert!(!(chunked && head.version == "HTTP/1.0"), "chunked HTTP/1.0: {head:?}");
        if headless || head.status < 200 || head.status == 204 || head.status == 304 {
            return Decoder::Done;
        }
        match length {
            Some(length) => Decoder::Length(length),
            None if chunked => Decoder::ChunkSize,
            None => Decoder::UntilClose,
        }
    }

    /// Takes the next piece out of `inbox`.
    pub fn step(&mut self, inbox: &mut Vec<u8>) -> Step {
        loop {
            match *self {
                Decoder::Done | Decoder::Length(0) => return Step::Complete,
                Decoder::ChunkData(0) => *self = Decoder::ChunkEnd,
                Decoder::ChunkEnd if inbox.len() >= 2 => {
                    assert_eq!(&inbox[..2], b"\r\n", "a chunk ends with CRLF");
                    inbox.drain(..2);
                    *self = Decoder::ChunkSize;
                }
                Decoder::ChunkSize => match size_line(inbox) {
                    Some(0) => *self = Decoder::Done,
                    Some(size) => *self = Decoder::ChunkData(size),
                    None => return Step::Starved,
                },
                _ if inbox.is_empty() => return Step::Starved,
                Decoder::ChunkEnd => return Step::Starved,
                Decoder::UntilClose => return Step::Data(std::mem::take(inbox)),
                Decoder::Length(ref mut left) | Decoder::ChunkData(ref mut left) => {
                    let count = inbox.len().min(usize::try_from(*left).expect("64 bits"));
                    *left -= count as u64;
                    let rest = inbox.split_off(count);
                    return Step::Data(std::mem::replace(inbox, rest));
                }
            }
        }
    }

    /// What an end of the connection means now.
    pub fn at_close(self) -> End {
        if self == Decoder::UntilClose { End::Clean } else { End::Short }
    }
}

/// Takes a complete size line; for the last chunk also the empty line behind it.
fn size_line(inbox: &mut Vec<u8>) -> Option<u64> {
    let at = find(inbox, b"\r\n")?;
    let text = String::from_utf8_lossy(&inbox[..at]).into_owned();
    let size = u64::from_str_radix(&text, 16);
    let size = size.unwrap_or_else(|_| panic!("not a chunk size: {text:?}"));
    let length = if size == 0 { at + 4 } else { at + 2 };
    if inbox.len() < length {
        return None;
    }
    assert!(inbox[at..length].ends_with(b"\r\n"), "no trailers are ever sent");
    inbox.drain(..length);
    Some(size)
}

/// Where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
