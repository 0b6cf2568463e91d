//! A cursor over one text that knows its line and column, and reads the small pieces: blanks, comments, quoted text.

use super::{Error, Place};
use std::sync::Arc;

/// Characters that unquoted text cannot hold.
const RESERVED: &str = "$\"{}[]:=,+#`^?!@*&\\";

pub(super) struct Scanner<'a> {
    rest: &'a str,
    file: Arc<str>,
    line: u32,
    column: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, file: Arc<str>) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), file, line: 1, column: 1 }
    }

    pub(super) fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line, column: self.column }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }

    /// Steps over `text` if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            for _ in text.chars() {
                self.next();
            }
        }
        found
    }

    fn at_comment(&self) -> bool {
        self.starts_with("#") || self.starts_with("//")
    }

    /// Steps over blanks on this line and gives them.
    pub(super) fn blanks(&mut self) -> &'a str {
        let start = self.rest;
        while self.peek().is_some_and(|c| c != '\n' && is_blank(c)) {
            self.next();
        }
        &start[..start.len() - self.rest.len()]
    }

    /// Steps over blanks, line ends and comments. True if a line ended.
    pub(super) fn blanks_and_lines(&mut self) -> bool {
        let line = self.line;
        while let Some(c) = self.peek() {
            if is_blank(c) {
                self.next();
            } else if self.at_comment() {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else {
                break;
            }
        }
        self.line != line
    }

    /// True where a value cannot go on: end of line or text, a comment, a comma or a closing bracket.
    pub(super) fn at_end_of_value(&self) -> bool {
        self.at_comment() || self.peek().is_none_or(|c| matches!(c, '\n' | ',' | '}' | ']'))
    }

    /// Reads unquoted text; empty if there is none. `stop` ends it as well (the dot in keys).
    pub(super) fn unquoted(&mut self, stop: Option<char>) -> &'a str {
        let start = self.rest;
        while let Some(c) = self.peek() {
            if is_blank(c) || RESERVED.contains(c) || Some(c) == stop || self.at_comment() {
                break;
            }
            self.next();
        }
        &start[..start.len() - self.rest.len()]
    }

    /// Reads quoted or triple-quoted text; the cursor is on its first quote.
    pub(super) fn quoted(&mut self) -> Result<String, Error> {
        let open = self.place();
        if self.eat("\"\"\"") {
            return self.triple_quoted(&open);
        }
        self.next();
        let mut text = String::new();
        loop {
            let place = self.place();
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(&place)?),
                None | Some('\n') => {
                    return Err(Error::at(&open, "text in quotes is not closed on its line")
                        .with_help("add the closing quote, or use \"\"\"...\"\"\" for text of several lines"));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, place: &Place) -> Result<char, Error> {
        Ok(match self.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('u') => return self.unicode_escape(place),
            _ => {
                return Err(Error::at(place, "unknown escape in quotes")
                    .with_help("allowed are \\n \\t \\r \\b \\f \\\" \\\\ \\/ and \\uXXXX"));
            }
        })
    }

    /// Four hexadecimal digits, or eight as a pair of surrogates.
    fn unicode_escape(&mut self, place: &Place) -> Result<char, Error> {
        let wrong = || Error::at(place, "\\u needs four hexadecimal digits that name a character");
        let first = self.utf16_unit().ok_or_else(wrong)?;
        let mut units = vec![first];
        if (0xD800..0xDC00).contains(&first) && self.eat("\\u") {
            units.push(self.utf16_unit().ok_or_else(wrong)?);
        }
        char::decode_utf16(units).next().and_then(Result::ok).ok_or_else(wrong)
    }

    fn utf16_unit(&mut self) -> Option<u16> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.eat(digits);
        u16::from_str_radix(digits, 16).ok()
    }

    /// After `"""`. With `"""~` the indentation common to all lines is removed.
    fn triple_quoted(&mut self, open: &Place) -> Result<String, Error> {
        let indented = self.starts_with("~\n") || self.starts_with("~\r\n");
        let end = self.rest.find("\"\"\"").ok_or_else(|| Error::at(open, "text in \"\"\" is not closed"))?;
        // Quotes beyond three at the end belong to the text.
        let extra = self.rest[end + 3..].bytes().take_while(|b| *b == b'"').count();
        let text = &self.rest[..end + extra];
        self.eat(text);
        self.eat("\"\"\"");
        Ok(if indented { without_indentation(text) } else { text.to_owned() })
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn without_indentation(text: &str) -> String {
    let text = text.trim_start_matches('~').trim_start_matches('\r').trim_start_matches('\n');
    let text = text.strip_suffix('~').unwrap_or(text);
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = text.lines().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    let lines: Vec<&str> = text.split('\n').map(|line| line.get(common..).unwrap_or("")).collect();
    lines.join("\n")
}
