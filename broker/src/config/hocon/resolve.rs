//! Substitution: from the tree as written to the tree as meant.
//!
//! A key's value is folded from its last definition backwards: an optional substitution that finds nothing leaves the
//! definition before it, an object is laid over the object before it. A substitution that meets a key which is being
//! evaluated sees only the older definitions of that key, so `path = ${path}":more"` extends and a circle is an error.

use super::raw::{Part, RawNode, RawObject, RawValue, Substitution, check_depth};
use super::tree::{Entry, Node, Object, Value};
use super::{Environment, Error, Place, RESOLVE_STEPS_MAX, TEXT_BYTES_MAX};

/// Bytes of text that count as one more step, so that the limit on steps bounds memory too.
const STEP_BYTES: usize = 64;

pub(super) fn resolve(root: &RawObject, environment: Environment<'_>) -> Result<Object, Error> {
    Resolver { root, environment, active: Vec::new(), steps: 0, depth: 0 }.object(root, &mut Vec::new())
}

/// Resolves a value that stands alone: substitutions find nothing.
pub(super) fn resolve_value(node: &RawNode) -> Result<Node, Error> {
    let root = RawObject::default();
    let mut resolver = Resolver { root: &root, environment: &|_| None, active: Vec::new(), steps: 0, depth: 0 };
    let found = resolver.node(node, &mut Vec::new(), &[])?;
    found.ok_or_else(|| Error::at(&node.place, "the value is empty"))
}

struct Resolver<'a> {
    root: &'a RawObject,
    environment: Environment<'a>,
    /// Keys being evaluated, each with how many of its definitions are older than the one in hand.
    active: Vec<(Vec<String>, usize)>,
    steps: usize,
    depth: usize,
}

impl Resolver<'_> {
    fn object(&mut self, object: &RawObject, path: &mut Vec<String>) -> Result<Object, Error> {
        let mut resolved = Object::default();
        for entry in &object.entries {
            path.push(entry.key.clone());
            let node = self.fold(&entry.definitions, path)?;
            path.pop();
            if let Some(node) = node {
                resolved.entries.push(Entry { key: entry.key.clone(), place: entry.place.clone(), node });
            }
        }
        Ok(resolved)
    }

    /// The value of a key, from its last definition backwards.
    fn fold(&mut self, definitions: &[RawNode], path: &mut Vec<String>) -> Result<Option<Node>, Error> {
        let mut above: Option<(Place, Object)> = None;
        for (index, definition) in definitions.iter().enumerate().rev() {
            self.active.push((path.clone(), index));
            let node = self.node(definition, path, &definitions[..index]);
            self.active.pop();
            let Some(node) = node? else { continue };
            match (node.value, above.take()) {
                (Value::Object(object), None) => above = Some((node.place, object)),
                (Value::Object(mut below), Some((place, object))) => {
                    below.merge(object);
                    above = Some((place, below));
                }
                (value, None) => return Ok(Some(Node { place: node.place, value })),
                (_, objects @ Some(_)) => {
                    above = objects;
                    break;
                }
            }
        }
        Ok(above.map(|(place, object)| Node { place, value: Value::Object(object) }))
    }

    fn node(&mut self, node: &RawNode, path: &mut Vec<String>, older: &[RawNode]) -> Result<Option<Node>, Error> {
        self.steps += 1;
        if self.steps > RESOLVE_STEPS_MAX {
            return Err(Error::at(&node.place, "substitutions expand to too many values"));
        }
        self.depth += 1;
        check_depth(self.depth, &node.place)?;
        let value = match &node.value {
            RawValue::Null => Some(Value::Null),
            RawValue::Text(text) => {
                self.steps += text.len() / STEP_BYTES;
                Some(Value::Text(text.clone()))
            }
            RawValue::List(elements) => {
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    list.extend(self.node(element, path, &[])?);
                }
                Some(Value::List(list))
            }
            RawValue::Object(object) => Some(Value::Object(self.object(object, path)?)),
            RawValue::Joined(parts) => self.joined(parts, &node.place, path, older)?,
        };
        self.depth -= 1;
        Ok(value.map(|value| Node { place: node.place.clone(), value }))
    }

    fn joined(
        &mut self,
        parts: &[Part],
        place: &Place,
        path: &mut Vec<String>,
        older: &[RawNode],
    ) -> Result<Option<Value>, Error> {
        let mut sum: Option<Value> = None;
        let mut blanks = "";
        for part in parts {
            let value = match part {
                Part::Blank(text) => {
                    blanks = text;
                    continue;
                }
                Part::Value(node) => self.node(node, path, &[])?.map(|node| node.value),
                Part::Previous => self.fold(older, path)?.map(|node| node.value),
                Part::Substitution(substitution) => self.substitution(substitution)?.map(|node| node.value),
            };
            let between = std::mem::take(&mut blanks);
            sum = match (sum, value) {
                (sum, None) => sum,
                (None, value) => value,
                (Some(left), Some(right)) => Some(join(left, between, right, place)?),
            };
        }
        Ok(sum)
    }

    fn substitution(&mut self, wanted: &Substitution) -> Result<Option<Node>, Error> {
        self.depth += 1;
        check_depth(self.depth, &wanted.place)?;
        let found = self.look_up(self.root, &wanted.path, 0)?;
        self.depth -= 1;
        if found.is_some() {
            return Ok(found);
        }
        let name = wanted.path.join(".");
        if let Some(text) = (self.environment)(&name) {
            return Ok(Some(Node { place: wanted.place.clone(), value: Value::Text(text) }));
        }
        if wanted.optional {
            return Ok(None);
        }
        let circle = self.active.iter().any(|(path, _)| *path == wanted.path);
        let what = if circle { "refers to itself" } else { "names neither a key nor an environment variable" };
        Err(Error::at(&wanted.place, format!("${{{name}}} {what}"))
            .with_help(format!("write ${{?{name}}} if it may be missing")))
    }

    /// The value at `path`, of which the first `at` elements led to `object`.
    fn look_up(&mut self, object: &RawObject, path: &[String], at: usize) -> Result<Option<Node>, Error> {
        let Some(entry) = object.entry(&path[at]) else { return Ok(None) };
        if let ([RawNode { value: RawValue::Object(inner), .. }], false) =
            (entry.definitions.as_slice(), at + 1 == path.len())
        {
            return self.look_up(inner, path, at + 1);
        }
        let mut here = path[..=at].to_vec();
        let visible = match self.active.iter().rev().find(|(active, _)| *active == here) {
            Some((_, older)) => &entry.definitions[..(*older).min(entry.definitions.len())],
            None => entry.definitions.as_slice(),
        };
        let mut found = self.fold(visible, &mut here)?;
        for element in &path[at + 1..] {
            found = match found.map(|node| node.value) {
                Some(Value::Object(object)) => object.get(element).cloned(),
                _ => None,
            };
        }
        Ok(found)
    }
}

/// Two values side by side.
fn join(left: Value, between: &str, right: Value, place: &Place) -> Result<Value, Error> {
    match (left, right) {
        (Value::Object(mut below), Value::Object(above)) => {
            below.merge(above);
            Ok(Value::Object(below))
        }
        (Value::List(mut first), Value::List(second)) => {
            first.extend(second);
            Ok(Value::List(first))
        }
        (left @ (Value::Text(_) | Value::Null), right @ (Value::Text(_) | Value::Null)) => {
            let [mut left, right] = [left, right].map(|value| match value {
                Value::Text(text) => text,
                _ => "null".to_owned(),
            });
            left.push_str(between);
            left.push_str(&right);
            if left.len() > TEXT_BYTES_MAX {
                return Err(Error::at(place, format!("the joined text is longer than {TEXT_BYTES_MAX} bytes")));
            }
            Ok(Value::Text(left))
        }
        (left, right) => {
            let (left, right) = (left.kind(), right.kind());
            Err(Error::at(place, format!("cannot join {left} and {right}")))
        }
    }
}
