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
        let digits = self.digits(&mut 0);
        if digits == 0 || digits > 9 || (digits > 1 && self.text.as_bytes()[start] == b'0') {
            return None;
        }
        if matches!(self.text.as_bytes().get(self.at), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.text[start..self.at].parse().ok()
    }

    /// Take digits, and put them behind those of a number; beyond `EXACT_DIGITS` that is none.
    fn digits(&mut self, number: &mut u64) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.map(|digit| *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))).count();
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
        let mut significand = 0;
        let whole = self.digits(&mut significand);
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut integer = true;
        let mut fraction = 0;
        if bytes.get(self.at) == Some(&b'.') {
            integer = false;
            self.at += 1;
            fraction = self.digits(&mut significand);
            if fraction == 0 {
                return None;
            }
        }
        let mut exponent = false;
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            (integer, exponent) = (false, true);
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits(&mut 0) == 0 {
                return None;
            }
        }
        let number = if exponent || whole + fraction > EXACT_DIGITS {
            self.text[start..self.at].parse().ok()?
        } else {
            #[allow(clippy::cast_precision_loss)]
            let size = significand as f64 / POWERS[fraction];
            if first > start { -size } else { size }
        };
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

/// Digits of numbers that doubles hold exactly, and powers of ten, which they hold, too: so the one divided by the other is
/// the nearest double to the decimal (W. D. Clinger, PLDI 1990, section 3), as most callers write numbers.
const EXACT_DIGITS: usize = 15;
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Digits of an integer that 64 bits hold whatever they are; beyond them other readers make floats of integers.
const MOST_DIGITS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Numbers;

    /// The only value of a text, with nothing after it.
    fn value(text: &str) -> Option<Value<'_>> {
        let mut cursor = Cursor::new(text);
        let found = cursor.value()?;
        cursor.ended().then_some(found)
    }

    #[test]
    fn whole_numbers_are_integers() {
        for (text, wanted) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("7", 7.0),
            ("-12", -12.0),
            (" \t\r\n3 \n", 3.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("999999999999999999", 1e18),
            ("-999999999999999999", -1e18),
        ] {
            assert_eq!(value(text), Some(Value::Integer(wanted)), "{text}");
        }
        let Some(Value::Integer(zero)) = value("-0") else { panic!("no integer") };
        assert!(zero.is_sign_positive());
    }

    #[test]
    fn integers_of_more_than_18_digits_are_left_to_others() {
        for text in ["1000000000000000000", "-9223372036854775808", "18446744073709551616", &"1".repeat(400)] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_with_a_fraction_or_an_exponent_are_floats() {
        for (text, wanted) in [
            ("1.0", 1.0),
            ("1e0", 1.0),
            ("1E+2", 100.0),
            ("12e-1", 1.2),
            ("0e5", 0.0),
            ("0.30000000000000004", 0.300_000_000_000_000_04),
            ("5e-324", 5e-324),
            ("2e-324", 0.0),
            ("1e-99999999999999999999", 0.0),
            ("0e99999999999999999999", 0.0),
            ("1.7976931348623157e308", f64::MAX),
            ("1000000000000000000.0", 1e18),
        ] {
            assert_eq!(value(text), Some(Value::Float(wanted)), "{text}");
        }
        for text in ["-0.0", "-0e3", "-1e-400"] {
            let Some(Value::Float(zero)) = value(text) else { panic!("{text} is no float") };
            assert!(zero == 0.0 && zero.is_sign_negative(), "{text}");
        }
    }

    #[test]
    fn decimals_are_the_nearest_doubles() {
        let numbers = &mut Numbers::new();
        for _ in 0..200_000 {
            let digits = (numbers.next() >> 7).to_string();
            let (whole, rest) = digits.split_at(1 + numbers.below(4));
            let fraction = &rest[..=numbers.below(rest.len() - 1)];
            for text in [format!("{whole}.{fraction}"), format!("-{whole}.{fraction}"), format!("0.{fraction}")] {
                let wanted: f64 = text.parse().expect("a number");
                assert_eq!(value(&text), Some(Value::Float(wanted)), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_number_or_not_finite_is_not_read() {
        for text in [
            "",
            "-",
            "+1",
            ".5",
            "1.",
            "1.e3",
            "1e",
            "1e+",
            "1e-",
            "- 1",
            "01",
            "-01",
            "00",
            "0x1",
            "1_0",
            "1,",
            "1 2",
            "--1",
            "1e309",
            "-1e400",
            "1.7976931348623159e308",
            "NaN",
            "nan",
            "Infinity",
            "-Infinity",
            "inf",
            "١",
            "1é",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn words_are_written_one_way() {
        assert_eq!(value("true"), Some(Value::True));
        assert_eq!(value(" false "), Some(Value::False));
        assert_eq!(value("null"), Some(Value::Null));
        for text in ["True", "tru", "truex", "nul", "NULL", "nullnull", "falsé", "t", "f", "n"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn texts_have_neither_escapes_nor_control_characters() {
        for (text, wanted) in
            [("\"\"", ""), ("\"a b\"", "a b"), ("\"Zürich 😀\"", "Zürich 😀"), ("\"\u{7f}/'\"", "\u{7f}/'")]
        {
            assert_eq!(value(text), Some(Value::Text(wanted)), "{text}");
        }
        for text in
            ["\"", "\"a", "\"\\n\"", "\"\\u0061\"", "\"a\\\"", "\"\n\"", "\"\0\"", "\"\u{1f}\"", "'a'", "a", "\"a\"b"]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn lists_and_objects_are_no_values() {
        for text in ["[]", "{}", "[1]", "]", "}", ",", ":", "é", "\u{feff}1"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_short_whole_numbers() {
        for (text, wanted) in [("0", 0), (" 1", 1), ("256", 256), ("999999999", 999_999_999)] {
            assert_eq!(Cursor::new(text).size(), Some(wanted), "{text}");
        }
        for text in ["", "-1", "01", "00", "1.0", "1e0", "1E0", "1000000000", "true", "\"1\"", "[1]"] {
            assert_eq!(Cursor::new(text).size(), None, "{text}");
        }
    }

    #[test]
    fn only_json_s_white_space_is_passed_over() {
        assert!(Cursor::new(" \t\n\r").ended());
        for text in ["\u{b}", "\u{c}", "\u{a0}", "\u{2028}", "\u{feff}", "\0"] {
            assert!(!Cursor::new(text).ended(), "{text:?}");
        }
    }

    #[test]
    fn a_byte_that_is_not_there_is_not_taken() {
        let mut cursor = Cursor::new(" [ 1");
        assert!(!cursor.takes(b'{'));
        assert!(cursor.takes(b'['));
        assert_eq!(cursor.peek(), Some(b'1'));
        assert_eq!(cursor.take(b']'), None);
        assert_eq!(cursor.value(), Some(Value::Integer(1.0)));
        assert_eq!(cursor.peek(), None);
        assert_eq!(cursor.take(b']'), None);
    }
}
