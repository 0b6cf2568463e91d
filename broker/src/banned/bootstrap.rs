//! The bootstrap file of bans (`banned.bootstrap_file`): comma-separated values with EMQX's columns.
//!
//! The first line names the columns, in any order: `as` and `who` have to be there; `by`, `reason`, `at` and `until`
//! may be. Fields may be in quotes, `""` then stands for one (RFC 4180); a field does not go over the end of a line.

use super::rule::{Rule, parse_until};
use super::{Rules, Who};
use crate::config::Problem;
use crate::wall_clock;
use std::fs;
use std::path::Path;

/// The columns that are known.
const COLUMNS: [&str; 6] = ["as", "who", "by", "reason", "at", "until"];

/// Who made a ban that does not say.
const BY: &str = "bootstrap file";

/// Reads the file.
///
/// # Errors
/// It cannot be read, or a line is wrong; none of it counts then.
pub(super) fn read(file: &Path) -> Result<Rules, Problem> {
    let place = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Problem::new(format!("cannot read banned.bootstrap_file {place}: {error}")))?;
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let wrong = |line: usize, why: String| {
        let help = format!("the first line names columns of {}; as and who have to be there", COLUMNS.join(", "));
        Problem::new(format!("{place}:{line}: {why}")).with_help(help)
    };
    let Some((head, number)) = lines.next() else { return Ok(Rules::default()) };
    let columns = fields(head.trim_start_matches('\u{feff}')).map_err(|why| wrong(number, why))?;
    let unknown = columns.iter().find(|column| !COLUMNS.contains(&column.as_str()));
    if let Some(unknown) = unknown {
        return Err(wrong(number, format!("there is no column `{}`", unknown.escape_debug())));
    }
    let mut rules = Rules::default();
    for (line, number) in lines {
        let (who, rule) = entry(&columns, line).map_err(|why| wrong(number, why))?;
        rules.add(who, rule).map_err(|problem| wrong(number, problem.message))?;
    }
    Ok(rules)
}

fn entry(columns: &[String], line: &str) -> Result<(Who, Rule), String> {
    let fields = fields(line)?;
    if fields.len() != columns.len() {
        return Err(format!("there are {} fields for {} columns", fields.len(), columns.len()));
    }
    let get = |name: &str| {
        let at = columns.iter().position(|column| column == name)?;
        Some(fields[at].as_str()).filter(|field| !field.is_empty())
    };
    let required = |name: &str| get(name).ok_or_else(|| format!("{name} is missing"));
    let who = Who::parse(required("as")?, required("who")?)?;
    let until_s = match get("until") {
        Some(text) => parse_until(text).map_err(|why| format!("until `{}` {why}", text.escape_debug()))?,
        None => None,
    };
    let mut rule = Rule::from_now(get("by").unwrap_or(BY), get("reason").unwrap_or_default(), until_s);
    if let Some(text) = get("at") {
        rule.at_s = wall_clock::parse(text).map_err(|why| format!("at `{}` {why}", text.escape_debug()))?;
    }
    Ok((who, rule))
}

/// The fields of a line.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows the end of a quoted field".to_owned()),
        }
    }
}

/// What is in the quotes that have begun, and what follows them.
fn unquoted(quoted: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let at = rest.find('"').ok_or("a quote is not closed")?;
        field.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn read_text(text: &str) -> Result<Rules, String> {
        let dir = Dir::new("bootstrap");
        dir.write("b.csv", text);
        read(&dir.path("b.csv")).map_err(|problem| problem.to_string())
    }

    #[test]
    fn emqx_columns_are_read_in_any_order() {
        let rules = read_text(
            "until,as,who,reason,at,by\r\n\
             infinity,clientid,c1,\"late, and \"\"loud\"\"\",2026-01-31T08:00:00Z,ops\r\n\
             2030-01-01T00:00:00+01:00,peerhost_net,10.0.0.0/8,,,\r\n\r\n",
        )
        .expect("right");
        let get = |kind: &str, who: &str| rules.get(&Who::parse(kind, who).expect("right")).expect("there").clone();
        let expected =
            Rule { by: "ops".to_owned(), reason: "late, and \"loud\"".to_owned(), at_s: 1_769_846_400, until_s: None };
        assert_eq!(get("clientid", "c1"), expected);
        let net = get("peerhost_net", "10.0.0.0/8");
        assert_eq!((net.by.as_str(), net.reason.as_str(), net.until_s), (BY, "", Some(1_893_452_400)));
        assert!(wall_clock::now_s() - net.at_s < 60);
        assert_eq!(read_text(""), Ok(Rules::default()));
    }

    #[test]
    fn a_wrong_line_is_told_with_its_number() {
        for (text, expected) in [
            ("as,who,since\n", "b.csv:1: there is no column `since`"),
            ("as,who\nclientid\n", "b.csv:2: there are 1 fields for 2 columns"),
            ("as,by\nclientid,me\n", "b.csv:2: who is missing"),
            ("as,who\nclientid,a\n\nfish,b\n", "b.csv:4: `fish` cannot be banned"),
            ("as,who,until\nclientid,a,soon\n", "b.csv:2: until `soon` is no time"),
            ("as,who\nclientid,\"a\n", "b.csv:2: a quote is not closed"),
            ("as,who\nclientid,\"a\"b\n", "b.csv:2: something follows"),
        ] {
            let told = read_text(text).expect_err("wrong");
            assert!(told.contains(expected), "{told}");
        }
    }
}
