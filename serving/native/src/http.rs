//! Requests of HTTP/1.1 (RFC 9112) that are read here: one kind, and nothing that leaves a choice.
//!
//! Every rule of the server's Python, `server/http/connection.py`, holds for what is taken here without being looked at;
//! whatever a rule could say something about is left to it.

/// Bytes of a request's head that is read here.
pub const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 48;

/// What the beginning of a connection's bytes is.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The beginning of an ordinary request, perhaps.
    Part,
    /// An ordinary request: where its body begins and ends, and the milliseconds that its caller waits.
    Whole { body: usize, end: usize, patience: Option<u64> },
    /// Anything else.
    Other,
}

/// Where predictions are asked for, by bodies of how many bytes, and by which header a caller says how long it waits.
pub struct Address {
    pub targets: Vec<Vec<u8>>,
    pub max_body: usize,
    pub expected_timeout: String,
}

impl Address {
    /// Look at bytes that begin with a request.
    pub fn look(&self, bytes: &[u8]) -> Found {
        let told = &bytes[..bytes.len().min(b"POST ".len())];
        if !b"POST ".starts_with(told) {
            return Found::Other;
        }
        let Some(end) = bytes.windows(4).take(MAX_HEAD).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() > MAX_HEAD { Found::Other } else { Found::Part };
        };
        let body = end + 4;
        let Some((length, patience)) = self.head(&bytes[..body]) else { return Found::Other };
        if bytes.len() - body < length { Found::Part } else { Found::Whole { body, end: body + length, patience } }
    }

    /// The length of the body, and the caller's patience.
    fn head(&self, head: &[u8]) -> Option<(usize, Option<u64>)> {
        if !ends_of_lines(head) {
            return None;
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        if request.parse(head) != Ok(httparse::Status::Complete(head.len())) || request.version != Some(1) {
            return None;
        }
        let target = request.path?.as_bytes();
        if request.method != Some("POST") || !self.targets.iter().any(|known| known == target) {
            return None;
        }
        let (mut host, mut length, mut patience, mut kind) = (false, None, None, false);
        for header in request.headers {
            let name = header.name;
            if name.eq_ignore_ascii_case("host") && !host {
                host = true;
            } else if name.eq_ignore_ascii_case("content-length") && length.is_none() {
                length = Some(number(header.value).filter(|length| *length <= self.max_body as u64)?);
            } else if name.eq_ignore_ascii_case("content-type") && !kind && header.value == b"application/json" {
                kind = true;
            } else if name.eq_ignore_ascii_case(&self.expected_timeout) && patience.is_none() {
                patience = Some(number(header.value).filter(|milliseconds| *milliseconds > 0)?);
            } else if name.eq_ignore_ascii_case("connection") {
                header.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
            } else if SAYS_MORE.iter().any(|other| name.eq_ignore_ascii_case(other))
                || name.eq_ignore_ascii_case(&self.expected_timeout)
            {
                return None;
            }
        }
        let length = usize::try_from(length?).ok()?;
        (host && length > 0).then_some((length, patience))
    }
}

/// Headers that change what a request is, or are too many of those above.
const SAYS_MORE: [&str; 10] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "inference-header-content-length",
];

/// Whether every line ends by both carriage return and line feed, which stand nowhere else.
fn ends_of_lines(head: &[u8]) -> bool {
    let mut before = 0;
    for byte in head {
        if (*byte == b'\n') != (before == b'\r') {
            return false;
        }
        before = *byte;
    }
    true
}

/// A number of at most nine digits and nothing else.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(bytes: &[u8]) -> Found {
        let address = Address {
            targets: vec![b"/v2/models/m/infer".to_vec()],
            max_body: 1 << 10,
            expected_timeout: "x-wait".into(),
        };
        address.look(bytes)
    }

    fn asked(headers: &str, body: &str) -> Found {
        look(format!("POST /v2/models/m/infer HTTP/1.1\r\n{headers}\r\n{body}").as_bytes())
    }

    #[test]
    fn ordinary_requests_are_found_whole() {
        let table = [
            ("host: a\r\ncontent-length: 2\r\n", None),
            ("Host: a\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: Keep-Alive\r\n", None),
            ("host: a\r\nx-request-id: 7\r\nx-wait: 250\r\ncontent-length: 2\r\naccept: */*\r\n", Some(250)),
        ];
        for (headers, patience) in table {
            let head = "POST /v2/models/m/infer HTTP/1.1\r\n\r\n".len() + headers.len();
            assert_eq!(asked(headers, "{}more"), Found::Whole { body: head, end: head + 2, patience }, "{headers}");
        }
    }

    #[test]
    fn every_beginning_of_an_ordinary_request_is_a_part() {
        let whole = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
        for length in 0..whole.len() {
            assert_eq!(look(&whole[..length]), Found::Part, "{length}");
        }
    }

    #[test]
    fn what_says_anything_else_is_left_to_python() {
        let table = [
            "content-length: 2\r\n",
            "host: a\r\n",
            "host: a\r\ncontent-length: 0\r\n",
            "host: a\r\ncontent-length: 1025\r\n",
            "host: a\r\ncontent-length: +2\r\n",
            "host: a\r\ncontent-length: 2 2\r\n",
            "host: a\r\ncontent-length: 99999999999999999999\r\n",
            "host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n",
            "host: a\r\nhost: a\r\ncontent-length: 2\r\n",
            "host: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n",
            "host: a\r\ntransfer-encoding: chunked\r\n",
            "host: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n",
            "host: a\r\ncontent-length: 2\r\nupgrade: h2c\r\n",
            "host: a\r\ncontent-length: 2\r\nconnection: close\r\n",
            "host: a\r\ncontent-length: 2\r\nconnection: keep-alive, upgrade\r\n",
            "host: a\r\ncontent-length: 2\r\ncontent-encoding: gzip\r\n",
            "host: a\r\ncontent-length: 2\r\ncontent-type: application/octet-stream\r\n",
            "host: a\r\ncontent-length: 2\r\ncontent-type: application/json; charset=utf-8\r\n",
            "host: a\r\ncontent-length: 2\r\ninference-header-content-length: 2\r\n",
            "host: a\r\ncontent-length: 2\r\nx-wait: soon\r\n",
            "host: a\r\ncontent-length: 2\r\nx-wait: 0\r\n",
            "host: a\r\ncontent-length: 2\r\nx-wait: 5\r\nx-wait: 5\r\n",
            "host: a\r\ncontent-length : 2\r\n",
            "host: a\r\ncontent-length: 2\r\nfolded: a\r\n b\r\n",
            "host: a\ncontent-length: 2\r\n",
            "host: a\r\ncontent-length: 2\r\nx: a\rb\r\n",
            "host: a\r\ncontent-length: 2\r\nx: a\0b\r\n",
            "host: a\r\ncontent-length: 2\r\nno colon\r\n",
        ];
        for headers in table {
            assert_eq!(asked(headers, "{}"), Found::Other, "{headers:?}");
        }
    }

    #[test]
    fn other_lines_than_one_are_left_to_python() {
        let table = [
            "GET /v2/models/m/infer HTTP/1.1",
            "post /v2/models/m/infer HTTP/1.1",
            "POST /v2/models/m/infer HTTP/1.0",
            "POST /v2/models/m/infer?a=b HTTP/1.1",
            "POST /v2/models/other/infer HTTP/1.1",
            "POST  /v2/models/m/infer HTTP/1.1",
            "\r\nPOST /v2/models/m/infer HTTP/1.1",
            "PRI * HTTP/2.0",
        ];
        for line in table {
            let text = format!("{line}\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
            assert_eq!(look(text.as_bytes()), Found::Other, "{line:?}");
        }
    }

    #[test]
    fn a_head_without_an_end_is_left_to_python() {
        let mut text = b"POST /v2/models/m/infer HTTP/1.1\r\nx: ".to_vec();
        text.resize(MAX_HEAD + 1, b'a');
        assert_eq!(look(&text), Found::Other);
    }
}
