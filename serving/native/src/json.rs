//! A strict reader of the JSON that ordinary requests are made of. What it does not know it refuses to read:
//! whoever calls it then leaves the request to the reader of everything.

/// A value of a tensor's data. Texts are the bytes between the quotes; texts with escapes are not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number without fraction and exponent.
    Integer(f64),
    /// Any other number.
    Float(f64),
    True,
    False,
    Null,
    Text(&'a str),
}

/// Where reading has come to. Every method that returns `None` has met something that is not ordinary.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Take this byte, after white space.
    pub fn take(&mut self, wanted: u8) -> Option<()> {
        if self.peek()? == wanted {
            self.at += 1;
            Some(())
        } else {
            None
        }
    }

    /// Whether this byte comes next; it is taken if it does.
    pub fn takes(&mut self, wanted: u8) -> bool {
        self.take(wanted).is_some()
    }

    /// Whether nothing but white space is left.
    pub fn ended(&mut self) -> bool {
        self.peek().is_none()
    }

    /// A text without escapes and control characters.
    pub fn text(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20)?;
        if rest[length] != b'"' {
            return None;
        }
        let found = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Some(found)
    }

    /// A number, a text, a truth value or null.
    pub fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.text().map(Value::Text),
            b't' => self.word("true", Value::True),
            b'f' => self.word("false", Value::False),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Some(value)
        } else {
            None
        }
    }

    /// A whole number of at most nine digits, such as a shape has.
    pub fn size(&mut self) -> Option<usize> {
        self.peek()?;
        let start = self.at;
        let digits = self.digits();
        if digits == 0 || digits > 9 || (digits > 1 && self.text.as_bytes()[start] == b'0') {
            return None;
        }
        if matches!(self.text.as_bytes().get(self.at), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.text[start..self.at].parse().ok()
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        count
    }

    /// RFC 8259, section 6, and finite as a double.
    fn number(&mut self) -> Option<Value<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes[self.at] == b'-' {
            self.at += 1;
        }
        let first = self.at;
        let whole = self.digits();
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut integer = true;
        if bytes.get(self.at) == Some(&b'.') {
            integer = false;
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        let number: f64 = self.text[start..self.at].parse().ok()?;
        if !number.is_finite() {
            return None;
        }
        if !integer {
            return Some(Value::Float(number));
        }
        if whole > MOST_DIGITS {
            return None;
        }
        // -0 without a fraction is the integer zero, which has no sign
        Some(Value::Integer(if number == 0.0 { 0.0 } else { number }))
    }
}

/// Digits of an integer that 64 bits hold whatever they are; beyond them other readers make floats of integers.
const MOST_DIGITS: usize = 18;
