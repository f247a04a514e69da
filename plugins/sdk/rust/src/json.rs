//! A small reader of JSON (RFC 8259), strict and without panics, and what is needed to write filters.

use std::fmt::{self, Write as _};

/// Deepest nesting that is read: nothing a policy is given goes deeper than three.
const MAX_DEPTH: u32 = 32;

/// A JSON value. The keys of an object stand in the order of the text, each once.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Vec<(String, Value)>),
}

/// Text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "are not JSON: {} at byte {}", self.problem, self.at)
    }
}

impl std::error::Error for Malformed {}

/// Reads one JSON value, with nothing but white space around it.
///
/// Numbers of up to 15 significant digits and decimal exponents of up to 22 are exact; others may be off in the
/// last binary digits. Lone surrogates, repeated keys and numbers too large for `f64` are refused.
pub fn parse(text: &str) -> Result<Value, Malformed> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() { reader.fail("something follows the value") } else { Ok(value) }
}

/// The text as a JSON string, with its quotation marks. For filters.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            // Writing into a String cannot fail.
            '\0'..='\u{1f}' => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, problem: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, problem })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: u32) -> Result<Value, Malformed> {
        if depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.fail("no value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Malformed> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fail("no value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: u32) -> Result<Value, Malformed> {
        self.at += 1;
        let mut list = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Value::List(list));
            }
            if !self.eat(b',') {
                return self.fail("no comma and no end of the list");
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value, Malformed> {
        self.at += 1;
        let mut object: Vec<(String, Value)> = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.fail("no key");
            }
            let key = self.string()?;
            if object.iter().any(|(known, _)| *known == key) {
                return self.fail("a key stands twice");
            }
            self.skip_space();
            if !self.eat(b':') {
                return self.fail("no colon");
            }
            object.push((key, self.value(depth + 1)?));
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Value::Object(object));
            }
            if !self.eat(b',') {
                return self.fail("no comma and no end of the object");
            }
        }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.at += 1;
            }
            // Both ends are ASCII bytes or the end of the text, hence boundaries of characters.
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return self.fail("a control character inside text"),
                None => return self.fail("text without end"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        self.at += 1;
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("no such escape"),
        })
    }

    /// What follows `\u`: one code unit, or two that make a surrogate pair.
    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.code_unit()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !(self.eat(b'\\') && self.eat(b'u')) {
                return self.fail("half a surrogate pair");
            }
            let second = self.code_unit()?;
            if !(0xdc00..0xe000).contains(&second) {
                return self.fail("half a surrogate pair");
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).map_or_else(|| self.fail("half a surrogate pair"), Ok)
    }

    fn code_unit(&mut self) -> Result<u32, Malformed> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.fail("no hexadecimal digit");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<f64, Malformed> {
        let negative = self.eat(b'-');
        let mut decimal = Decimal::default();
        if !self.eat(b'0') {
            self.digits(|digit| decimal.push(digit, false))?;
        }
        if self.eat(b'.') {
            self.digits(|digit| decimal.push(digit, true))?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let down = self.eat(b'-');
            if !down {
                self.eat(b'+');
            }
            let mut exponent = 0_i32;
            self.digits(|digit| exponent = exponent.saturating_mul(10).saturating_add(digit as i32))?;
            decimal.exponent = decimal.exponent.saturating_add(if down { -exponent } else { exponent });
        }
        let number = decimal.to_f64();
        if number.is_infinite() {
            return self.fail("a number too large");
        }
        Ok(if negative { -number } else { number })
    }

    fn digits(&mut self, mut push: impl FnMut(u64)) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            push(u64::from(byte - b'0'));
            self.at += 1;
        }
        if self.at == start { self.fail("no digit") } else { Ok(()) }
    }
}

/// `digits * 10^exponent`.
#[derive(Default)]
struct Decimal {
    digits: u64,
    exponent: i32,
}

impl Decimal {
    fn push(&mut self, digit: u64, fraction: bool) {
        // Nineteen digits fit; what comes after them is past the precision of f64.
        if self.digits < 1_000_000_000_000_000_000 {
            self.digits = self.digits * 10 + digit;
            self.exponent = self.exponent.saturating_sub(i32::from(fraction));
        } else {
            self.exponent = self.exponent.saturating_add(i32::from(!fraction));
        }
    }

    /// Clinger, "How to read floating point numbers accurately" (PLDI 1990): exact in one rounding while both the
    /// digits (below 2^53) and the power of ten (up to 10^22) are exact in f64.
    fn to_f64(&self) -> f64 {
        let mut number = self.digits as f64;
        // Past 10^-400 and 10^400 every number of up to 19 digits is 0 or infinite.
        let mut exponent = self.exponent.clamp(-400, 400);
        while exponent != 0 && number != 0.0 && number.is_finite() {
            let step = exponent.clamp(-22, 22);
            let power = 10_f64.powi(step.abs());
            number = if step < 0 { number / power } else { number * power };
            exponent -= step;
        }
        number
    }
}

#[cfg(test)]
mod tests;
