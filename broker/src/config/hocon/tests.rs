//! What the reader accepts, how it merges and substitutes, what it says of mistakes, and that it is total.

use super::{Document, Error, Object, Value, parse, parse_value};
use proptest::prelude::*;
use std::fmt::Write;

fn read(text: &str) -> Result<Document, Error> {
    parse(text, "test.hocon", &|name| (name == "HOME").then(|| "/home/user".to_owned()))
}

/// A tree as compact JSON with all scalars as text.
fn json(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => format!("{text:?}"),
        Value::List(list) => {
            let elements: Vec<String> = list.iter().map(|node| json(&node.value)).collect();
            format!("[{}]", elements.join(","))
        }
        Value::Object(object) => {
            let mut text = String::new();
            for entry in &object.entries {
                let comma = if text.is_empty() { "" } else { "," };
                write!(text, "{comma}{:?}:{}", entry.key, json(&entry.node.value)).expect("a string takes all");
            }
            format!("{{{text}}}")
        }
    }
}

fn means(text: &str, expected: &str) {
    let document = read(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert_eq!(json(&Value::Object(document.root)), expected, "{text:?}");
}

fn fails(text: &str, expected: &str) {
    let error = read(text).expect_err(text);
    assert_eq!(error.to_string(), expected, "{text:?}");
}

#[test]
fn json_and_its_looser_forms_mean_the_same() {
    let expected = r#"{"a":{"b":"1","c":["x","y"]},"d":"true"}"#;
    means(r#"{"a": {"b": 1, "c": ["x", "y"]}, "d": true}"#, expected);
    means("a { b = 1, c = [x\n y] }\nd : true", expected);
    means("a.b = 1 # one\na.c = [ x, y, ] // two\nd = true", expected);
    means("\u{feff}a.b = 1\r\na.c = [x, y]\r\nd = true\r\n", expected);
    means("", "{}");
    means("# nothing\n", "{}");
}

#[test]
fn text_is_quoted_unquoted_or_triple_quoted() {
    means(r#"a = "x # y // \"z\" \n A 😀""#, r#"{"a":"x # y // \"z\" \n A 😀"}"#);
    means("a = one two   three # four", r#"{"a":"one two   three"}"#);
    means("a = \"\"\"x \"y\"\n z\"\"\"", r#"{"a":"x \"y\"\n z"}"#);
    means("a = \"\"\"x\"\"\"\"", r#"{"a":"x\""}"#);
    means("a = \"\"\"~\n    x\n      y\n    ~\"\"\"", "{\"a\":\"x\\n  y\\n\"}");
    means(r#""a.b".c = x/y"#, r#"{"a.b":{"c":"x/y"}}"#);
    means("a = null\nb = \"null\"", r#"{"a":null,"b":"null"}"#);
}

#[test]
fn later_definitions_win_and_objects_merge() {
    means("a = 1\na = 2", r#"{"a":"2"}"#);
    means("a { x = 1, y = 1 }\na { y = 2 }\na.z = 3", r#"{"a":{"x":"1","y":"2","z":"3"}}"#);
    means("a { x = 1 }\na = 5\na { y = 1 }", r#"{"a":{"y":"1"}}"#);
    means("a = {x = 1} {y = 2}", r#"{"a":{"x":"1","y":"2"}}"#);
    means("a = [1] [2]\na += 3", r#"{"a":["1","2","3"]}"#);
    means("a = [1, 2]\na.2 = 3\na.3 = 4", r#"{"a":["1","3","4"]}"#);
    means("a = [{x = 1}]\na { 1.y = 2, 2 = z }", r#"{"a":[{"x":"1","y":"2"},"z"]}"#);
    means("a = [1]\na.3 = 2", r#"{"a":{"3":"2"}}"#);
}

#[test]
fn substitutions_see_the_final_value() {
    means("a = ${b}\nb = 1\nb = 2", r#"{"a":"2","b":"2"}"#);
    means("a = x-${b.c}-y\nb.c = 1", r#"{"a":"x-1-y","b":{"c":"1"}}"#);
    means("a = ${HOME}/data", r#"{"a":"/home/user/data"}"#);
    means("a = 1\na = ${?NOT_THERE}", r#"{"a":"1"}"#);
    means("a = ${?NOT_THERE}", "{}");
    means("base {x = 1, y = 1}\na = ${base} {y = 2}\na.z = 3", {
        r#"{"base":{"x":"1","y":"1"},"a":{"x":"1","y":"2","z":"3"}}"#
    });
    means("a = ${b.y}\nb = ${c}\nb.x = 1\nc.y = 2", r#"{"a":"2","b":{"y":"2","x":"1"},"c":{"y":"2"}}"#);
    means("p = x\np = ${p}\":y\"\np = ${p}\":z\"", r#"{"p":"x:y:z"}"#);
}

#[test]
fn mistakes_are_placed_and_explained() {
    fails("a = \"x\nb = 1", "test.hocon:1:5: text in quotes is not closed on its line");
    fails("a {\n  b = 1\n", "test.hocon:1:3: `{` is not closed");
    fails("{ a = 1 } b", "test.hocon:1:11: unexpected `b` after the end");
    fails("a = [1, 2\n", "test.hocon:1:5: `[` is not closed");
    fails("a = 1 }", "test.hocon:1:7: `}` closes nothing");
    fails("\n  a b = 1", "test.hocon:2:5: expected `=`, `:` or `{` after the key `a`");
    fails("a = {b = 1} = 2", "test.hocon:1:13: expected a value, found `=`");
    fails("bind = 0.0.0.0:1883", "test.hocon:1:15: expected a value, found `:`");
    fails("a =", "test.hocon:1:4: expected a value, found the end of the file");
    fails("a = ${b}", "test.hocon:1:5: ${b} names neither a key nor an environment variable");
    fails("a = ${b}\nb = ${a}", "test.hocon:2:5: ${a} refers to itself");
    fails("a = ${a}", "test.hocon:1:5: ${a} refers to itself");
    fails("a = [1] x", "test.hocon:1:5: cannot join a list and a single value");
    fails("a..b = 1", "test.hocon:1:3: expected a key, found `.`");
    fails("a = \"\\x\"", "test.hocon:1:6: unknown escape in quotes");
    fails("a = \"\\ud800\"", "test.hocon:1:6: \\u needs four hexadecimal digits that name a character");
    let help = read("bind = 0.0.0.0:1883").expect_err("not quoted").help.expect("says how to write it");
    assert!(help.contains("quotes"), "{help}");
}

#[test]
fn values_keep_their_place() {
    let root = read("a {\n  b = 1\n  ü = ${a.b}\n}").expect("right").root;
    let Some(Value::Object(a)) = root.get("a").map(|node| &node.value) else { panic!("an object") };
    let places: Vec<_> = a.entries.iter().map(|e| format!("{} {}", e.place, e.node.place)).collect();
    assert_eq!(places, ["test.hocon:2:3 test.hocon:2:7", "test.hocon:3:3 test.hocon:3:7"]);
}

#[test]
fn a_value_stands_alone_in_the_environment() {
    assert_eq!(parse_value("\"127.0.0.1:8883\"", "env").map(|n| json(&n.value)), Ok("\"127.0.0.1:8883\"".to_owned()));
    assert_eq!(parse_value(" 15s ", "env").map(|n| json(&n.value)), Ok("\"15s\"".to_owned()));
    assert!(parse_value("", "env").is_err());
    assert!(parse_value("127.0.0.1:8883", "env").is_err());
    assert!(parse_value("${?x}", "env").is_err());
}

#[test]
fn files_include_files() {
    let dir = crate::scratch::Dir::new("hocon-include");
    dir.write("main.conf", "a = 1\ninclude \"sub/more.conf\"\ninclude \"missing.conf\"\nc = 3");
    dir.write("sub/more.conf", "a = 2\nb { include file(\"last.conf\") }");
    dir.write("sub/last.conf", "x = ${a}");
    let document = super::load(&dir.path("main.conf"), &|_| None).expect("right");
    assert_eq!(json(&Value::Object(document.root)), r#"{"a":"2","b":{"x":"2"},"c":"3"}"#);
    assert_eq!(document.warnings.len(), 1);
    assert!(document.warnings[0].to_string().contains("main.conf:3:1: the included file"), "{:?}", document.warnings);

    dir.write("circle.conf", "include \"circle.conf\"");
    let error = super::load(&dir.path("circle.conf"), &|_| None).expect_err("a circle");
    assert!(error.to_string().ends_with("includes itself"), "{error}");

    dir.write("strict.conf", "\ninclude required(file(\"missing.conf\"))");
    let error = super::load(&dir.path("strict.conf"), &|_| None).expect_err("missing");
    assert!(error.to_string().contains("strict.conf:2:1: cannot read"), "{error}");
}

#[test]
fn hostile_texts_end_in_an_error_and_not_in_a_crash() {
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(read(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(read(&"a {".repeat(100_000)).is_err());
    assert!(read(&"a.".repeat(100_000)).is_err());
    assert!(read(&"a = ${?b}\n".repeat(10_000)).is_ok());
    let mut doubling = "a0 = 0123456789\n".to_owned();
    for i in 1..60 {
        writeln!(doubling, "a{i} = ${{a{0}}}${{a{0}}}", i - 1).expect("a string takes all");
    }
    assert!(read(&doubling).is_err());
}

/// Writes a tree back as HOCON, one of several ways for each piece.
fn write_hocon(object: &Object, ways: u64, depth: usize) -> String {
    let mut text = String::new();
    for (index, entry) in object.entries.iter().enumerate() {
        let way = ways.rotate_right((index + depth * 7) as u32);
        let separator = [" = ", ":", "=\n "][way as usize % 3];
        let end = ["\n", ",\n", " # end\n", "\n// end\n"][way as usize / 3 % 4];
        let value = match &entry.node.value {
            Value::Object(inner) => format!("{{\n{}}}", write_hocon(inner, ways, depth + 1)),
            other => json(other),
        };
        write!(text, "{:?}{separator}{value}{end}", entry.key).expect("a string takes all");
    }
    text
}

fn object() -> impl Strategy<Value = Value> {
    let place = super::Place { file: "test.hocon".into(), line: 1, column: 1 };
    let text = "[ -!#-\\[\\]-~äß€]{0,12}";
    let leaf = prop_oneof![Just(Value::Null), text.prop_map(Value::Text)];
    let (in_list, in_object) = (place.clone(), place);
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let (in_list, in_object) = (in_list.clone(), in_object.clone());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(move |values| {
                let node = |value| super::Node { place: in_list.clone(), value };
                Value::List(values.into_iter().map(node).collect())
            }),
            prop::collection::btree_map("[a-z.]{1,3}", inner, 0..5).prop_map(move |entries| {
                let entry = |(key, value)| super::Entry {
                    key,
                    place: in_object.clone(),
                    node: super::Node { place: in_object.clone(), value },
                };
                Value::Object(Object { entries: entries.into_iter().map(entry).collect() })
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = read(&text);
        let _ = parse_value(&text, "env");
    }

    #[test]
    fn any_soup_of_tokens_is_read_or_refused(tokens in prop::collection::vec(prop::sample::select(vec![
        "a", "b", ".", "=", ":", "+=", "{", "}", "[", "]", ",", "\n", " ", "${a}", "${?b}", "${a.b}", "\"", "\"\"\"",
        "\"x\"", "\\", "#", "//", "include ", "null", "~",
    ]), 0..60)) {
        let _ = read(&tokens.concat());
    }

    #[test]
    fn what_is_written_is_what_is_read(value in object(), ways: u64) {
        let Value::Object(object) = &value else { return Ok(()) };
        let text = write_hocon(object, ways, 0);
        let read = read(&text).map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
        prop_assert_eq!(json(&Value::Object(read.root)), json(&value));
    }
}
