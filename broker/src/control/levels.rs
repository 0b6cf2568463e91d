//! Levels of the log, seen and changed by hand. What is changed here holds until the next start, unlike settings.

use crate::config::Problem;
use crate::log::{self, DEFAULT_FILE, Handler, LEVELS, Level, MODULES};
use serde_json::{Map, Value, json};

/// In the place of a level: that of the handlers holds again.
const DEFAULT: &str = "default";

/// The levels of handlers, of modules that have their own, and how many notes were lost.
pub(super) fn show() -> Value {
    let name = |level: Option<Level>| json!(level.map_or("off", Level::name));
    let mut told = Map::from_iter([
        ("console".to_owned(), name(LEVELS.handler(Handler::Console))),
        ("lines_lost".to_owned(), log::lost().into()),
    ]);
    told.extend(LEVELS.files().map(|(handler, level)| match handler {
        DEFAULT_FILE => ("file".to_owned(), name(level)),
        handler => (format!("file.{handler}"), name(level)),
    }));
    told.extend(LEVELS.own().map(|(module, level)| (format!("module.{module}"), level.name().into())));
    Value::Object(told)
}

/// Changes the level of all handlers that are on, or of a module.
///
/// # Errors
/// There is no such level or module.
pub(super) fn set(level: &str, module: Option<&str>) -> Result<Value, Problem> {
    let named = Level::named(level);
    let unknown = || {
        let also = if module.is_some() { format!(", {DEFAULT}") } else { String::new() };
        let problem = Problem::new(format!("`{}` is no level", level.escape_debug()));
        problem.with_help(format!("one of {}{also}", Level::NAMES.join(", ")))
    };
    match module {
        None => LEVELS.set_handlers(named.ok_or_else(unknown)?),
        Some(module) => {
            if named.is_none() && level != DEFAULT {
                return Err(unknown());
            }
            if !LEVELS.set_module(module, named) {
                let problem = Problem::new(format!("`{}` is no module", module.escape_debug()));
                return Err(problem.with_help(format!("one of {}", MODULES.join(", "))));
            }
        }
    }
    Ok(show())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::module;

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let text = set("loud", None).expect_err("refused").to_string();
        assert!(text.contains("`loud` is no level") && text.contains("one of none, emergency, alert"), "{text}");
        assert!(set(DEFAULT, None).is_err());
        assert!(set("loud", Some(module::CLIENT)).expect_err("refused").to_string().contains("debug, all, default"));
        assert!(set("debug", Some("shards")).expect_err("refused").to_string().contains("client, delivery"));
        let told = set("debug", Some(module::DELIVERY)).expect("set");
        assert_eq!(told["module.delivery"], "debug");
        assert!(set(DEFAULT, Some(module::DELIVERY)).expect("set").get("module.delivery").is_none());
    }
}
