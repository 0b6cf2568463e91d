//! Recursive descent over one text, following `include`.

use super::raw::{Part, RawNode, RawObject, RawValue, Substitution, check_depth};
use super::scanner::Scanner;
use super::{Error, FILE_BYTES_MAX, FILES_MAX, Place};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is shared by the files of one configuration.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) warnings: Vec<Error>,
    files_read: usize,
    /// Files being read right now, outermost first.
    open: Vec<PathBuf>,
}

pub(super) fn parse_file(path: &Path, sources: &mut Sources) -> Result<RawObject, Error> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|error| Error {
        place: None,
        message: format!("cannot read {name}: {error}"),
        help: None,
    })?;
    sources.open.push(path.to_owned());
    let parsed = parse_text(&text, &name, sources);
    sources.open.pop();
    parsed
}

pub(super) fn parse_text(text: &str, name: &str, sources: &mut Sources) -> Result<RawObject, Error> {
    let mut parser = Parser { scanner: Scanner::new(text, Arc::from(name)), sources };
    parser.scanner.blanks_and_lines();
    let root = if parser.scanner.peek() == Some('{') { parser.object(0)? } else { parser.entries(0, None)? };
    parser.end()?;
    Ok(root)
}

pub(super) fn parse_single_value(text: &str, name: &str) -> Result<RawNode, Error> {
    let mut parser = Parser { scanner: Scanner::new(text, Arc::from(name)), sources: &mut Sources::default() };
    parser.scanner.blanks_and_lines();
    let value = parser.value(0)?;
    parser.end()?;
    Ok(value)
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {} MB", FILE_BYTES_MAX / 1024 / 1024)));
    }
    Ok(text)
}

struct Parser<'a, 's> {
    scanner: Scanner<'a>,
    sources: &'s mut Sources,
}

impl Parser<'_, '_> {
    fn end(&mut self) -> Result<(), Error> {
        self.scanner.blanks_and_lines();
        match self.scanner.peek() {
            None => Ok(()),
            Some(c) => {
                Err(Error::at(&self.scanner.place(), format!("unexpected `{}` after the end", c.escape_debug())))
            }
        }
    }

    /// `{ ... }`; the cursor is on the brace.
    fn object(&mut self, depth: usize) -> Result<RawObject, Error> {
        let open = self.scanner.place();
        check_depth(depth, &open)?;
        self.scanner.next();
        let object = self.entries(depth, Some(&open))?;
        self.scanner.next();
        Ok(object)
    }

    /// Entries up to the end of the text, or to the brace that closes `open`.
    fn entries(&mut self, depth: usize, open: Option<&Place>) -> Result<RawObject, Error> {
        let mut object = RawObject::default();
        loop {
            self.scanner.blanks_and_lines();
            match (self.scanner.peek(), open) {
                (None, None) | (Some('}'), Some(_)) => return Ok(object),
                (Some('}'), None) => return Err(Error::at(&self.scanner.place(), "`}` closes nothing")),
                (None, Some(open)) => return Err(Error::at(open, "`{` is not closed")),
                _ => {}
            }
            if self.at_include() {
                let included = self.include()?;
                object.absorb(included);
            } else {
                self.entry(depth, &mut object)?;
            }
            let line_ended = self.scanner.blanks_and_lines();
            let comma = self.scanner.eat(",");
            if !line_ended && !comma && self.scanner.peek().is_some_and(|c| c != '}') {
                return Err(Error::at(&self.scanner.place(), "expected a new line or a comma before the next key"));
            }
        }
    }

    fn entry(&mut self, depth: usize, object: &mut RawObject) -> Result<(), Error> {
        let place = self.scanner.place();
        let path = self.path()?;
        check_depth(depth + path.len(), &place)?;
        self.scanner.blanks_and_lines();
        if self.scanner.eat("+=") {
            self.scanner.blanks_and_lines();
            let element = self.value(depth + path.len())?;
            let list = RawNode { place: element.place.clone(), value: RawValue::List(vec![element]) };
            let parts = vec![Part::Previous, Part::Value(list)];
            object.define(&path, &place, RawNode { place: place.clone(), value: RawValue::Joined(parts) });
            return Ok(());
        }
        let separator = self.scanner.eat("=") || self.scanner.eat(":");
        if separator {
            self.scanner.blanks_and_lines();
        } else if self.scanner.peek() != Some('{') {
            return Err(Error::at(
                &self.scanner.place(),
                format!("expected `=`, `:` or `{{` after the key `{}`", path.join(".")),
            ));
        }
        let node = self.value(depth + path.len())?;
        object.define(&path, &place, node);
        Ok(())
    }

    /// A key or the inside of a substitution: elements with dots between them.
    fn path(&mut self) -> Result<Vec<String>, Error> {
        let mut path = Vec::new();
        loop {
            let place = self.scanner.place();
            if self.scanner.peek() == Some('"') {
                path.push(self.scanner.quoted()?);
            } else {
                let element = self.scanner.unquoted(Some('.'));
                if element.is_empty() {
                    return Err(self.unexpected(&place, "a key"));
                }
                path.push(element.to_owned());
            }
            check_depth(path.len(), &place)?;
            if !self.scanner.eat(".") {
                return Ok(path);
            }
        }
    }

    /// A value: one piece, or several side by side on a line.
    fn value(&mut self, depth: usize) -> Result<RawNode, Error> {
        let place = self.scanner.place();
        check_depth(depth, &place)?;
        let mut parts = Vec::new();
        let mut ends_in_null = false;
        while !self.scanner.at_end_of_value() {
            let place = self.scanner.place();
            let value = match self.scanner.peek() {
                Some('{') => RawValue::Object(self.object(depth + 1)?),
                Some('[') => RawValue::List(self.list(depth + 1)?),
                Some('"') => RawValue::Text(self.scanner.quoted()?),
                Some('$') => {
                    let substitution = self.substitution()?;
                    parts.push(Part::Substitution(substitution));
                    self.blank_part(&mut parts);
                    continue;
                }
                _ => {
                    let text = self.scanner.unquoted(None);
                    if text.is_empty() {
                        return Err(self.unexpected(&place, "a value"));
                    }
                    ends_in_null = text == "null";
                    RawValue::Text(text.to_owned())
                }
            };
            parts.push(Part::Value(RawNode { place, value }));
            self.blank_part(&mut parts);
        }
        while matches!(parts.last(), Some(Part::Blank(_))) {
            parts.pop();
        }
        if parts.is_empty() {
            return Err(self.unexpected(&place, "a value"));
        }
        if ends_in_null && parts.len() == 1 {
            return Ok(RawNode { place, value: RawValue::Null });
        }
        if matches!(parts.as_slice(), [Part::Value(_)])
            && let Some(Part::Value(node)) = parts.pop()
        {
            return Ok(node);
        }
        Ok(RawNode { place, value: RawValue::Joined(parts) })
    }

    fn blank_part(&mut self, parts: &mut Vec<Part>) {
        let blanks = self.scanner.blanks();
        if !blanks.is_empty() {
            parts.push(Part::Blank(blanks.to_owned()));
        }
    }

    /// `[ ... ]`; the cursor is on the bracket.
    fn list(&mut self, depth: usize) -> Result<Vec<RawNode>, Error> {
        let open = self.scanner.place();
        check_depth(depth, &open)?;
        self.scanner.next();
        let mut elements = Vec::new();
        loop {
            self.scanner.blanks_and_lines();
            if self.scanner.eat("]") {
                return Ok(elements);
            }
            if self.scanner.peek().is_none() {
                return Err(Error::at(&open, "`[` is not closed"));
            }
            elements.push(self.value(depth)?);
            let line_ended = self.scanner.blanks_and_lines();
            let comma = self.scanner.eat(",");
            if !line_ended && !comma && self.scanner.peek().is_some_and(|c| c != ']') {
                return Err(Error::at(&self.scanner.place(), "expected a comma or `]` in a list"));
            }
        }
    }

    /// `${path}` or `${?path}`; the cursor is on the dollar sign.
    fn substitution(&mut self) -> Result<Substitution, Error> {
        let place = self.scanner.place();
        if !self.scanner.eat("${") {
            return Err(Error::at(&place, "`$` must be followed by `{` or stand in quotes"));
        }
        let optional = self.scanner.eat("?");
        self.scanner.blanks();
        let path = self.path()?;
        self.scanner.blanks();
        if !self.scanner.eat("}") {
            return Err(Error::at(&place, "`${` is not closed"));
        }
        Ok(Substitution { place, path, optional })
    }

    fn at_include(&self) -> bool {
        let Some(rest) = self.scanner.rest().strip_prefix("include") else { return false };
        let rest = rest.trim_start_matches([' ', '\t']);
        ["\"", "file(", "required("].iter().any(|next| rest.starts_with(next))
    }

    /// `include "name"`, `include file("name")`, `include required(file("name"))`.
    fn include(&mut self) -> Result<RawObject, Error> {
        let place = self.scanner.place();
        self.scanner.eat("include");
        self.scanner.blanks();
        let mut closing = 0;
        let required = self.scanner.eat("required(");
        closing += usize::from(required);
        self.scanner.blanks();
        closing += usize::from(self.scanner.eat("file("));
        self.scanner.blanks();
        if self.scanner.peek() != Some('"') {
            return Err(Error::at(&self.scanner.place(), "expected the file's name in quotes after `include`"));
        }
        let name = self.scanner.quoted()?;
        for _ in 0..closing {
            self.scanner.blanks();
            if !self.scanner.eat(")") {
                return Err(Error::at(&self.scanner.place(), "expected `)` after the file's name"));
            }
        }
        self.included_file(&place, &name, required)
    }

    fn included_file(&mut self, place: &Place, name: &str, required: bool) -> Result<RawObject, Error> {
        let beside = self.sources.open.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
        let path = beside.join(name);
        if !required && !path.exists() {
            let missing = Error::at(place, format!("the included file {} is not there", path.display()));
            self.sources.warnings.push(missing.with_help("`include required(file(\"..\"))` would make this an error"));
            return Ok(RawObject::default());
        }
        if self.sources.open.contains(&path) {
            return Err(Error::at(place, format!("{} includes itself", path.display())));
        }
        self.sources.files_read += 1;
        if self.sources.files_read > FILES_MAX {
            return Err(Error::at(place, format!("more than {FILES_MAX} files are included")));
        }
        parse_file(&path, self.sources).map_err(|error| match error.place {
            Some(_) => error,
            None => Error { place: Some(place.clone()), ..error },
        })
    }

    fn unexpected(&self, place: &Place, wanted: &str) -> Error {
        match self.scanner.peek() {
            None => Error::at(place, format!("expected {wanted}, found the end of the file")),
            Some('\n') => Error::at(place, format!("expected {wanted}, found the end of the line")),
            Some(c) => {
                let error = Error::at(place, format!("expected {wanted}, found `{}`", c.escape_debug()));
                if wanted == "a value" && c != ',' && c != '}' && c != ']' {
                    return error.with_help("put text that holds such characters in quotes: \"0.0.0.0:1883\"");
                }
                error
            }
        }
    }
}
