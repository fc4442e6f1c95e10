//! Server-sent events as they come in pieces, as far as a relay sends them: a name and data. Knows
//! nothing of what they say.

/// The longest line and the longest data that are kept, in bytes; real ones have some hundred.
const LINE_MAX: usize = 64 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub name: String,
    /// Its data; several lines are joined with LF.
    pub data: String,
}

/// Takes events out of the bytes of a stream.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that is not complete yet.
    rest: Vec<u8>,
    name: String,
    data: Option<String>,
}

impl Events {
    /// Takes a piece, and gives the events that it completes.
    ///
    /// # Errors
    /// A line or an event is longer than any of a relay.
    pub fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            let long = self.data.as_ref().map_or(0, String::len) + self.rest.len();
            if long > LINE_MAX {
                return Err("an event is too long; is this a relay?".to_owned());
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                events.extend(
                    self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])),
                );
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return self.data.take().map(|data| Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (field, &mut self.data) {
            ("event", _) => value.clone_into(&mut self.name),
            ("data", Some(data)) => {
                data.push('\n');
                data.push_str(value);
            }
            ("data", data) => *data = Some(value.to_owned()),
            // Ids are of no use here, and a comment only says that somebody is there.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_pieces_end() {
        let text = b":keepalive\n\nid: 1\nevent: state\ndata: {\"a\":1}\n\r\nevent:done\r\n\
                     data:x\r\ndata: y\r\n\r\nevent: lost\n\n";
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        for size in [1, 2, 7, 1000] {
            let mut events = Events::default();
            let pieces = text.chunks(size);
            let all: Vec<Event> = pieces.flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(all, [event("state", "{\"a\":1}"), event("done", "x\ny")], "{size}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut events = Events::default();
        let endless =
            |events: &mut Events, piece: &[u8]| (0..LINE_MAX).any(|_| events.take(piece).is_err());
        assert!(endless(&mut events, b"xxxx"));
        assert!(endless(&mut Events::default(), b"data: x\n"));
    }
}
