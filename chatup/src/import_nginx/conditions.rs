//! Conditions (`if`) in a location of the module. One that only names other channels moves to the location's
//! end, where it leads to the worker. One that does more keeps its place, and who meets it is answered as
//! before, or with 501: nobody gets past an `if` that refused.

use super::ImportError;
use super::files::level;
use super::parse::Directive;
use super::proxy::{ANSWERS, Place, SEEN};
use super::route::Route;
use super::value::{self, Piece};
use super::variables::assigned;
use super::walk::{PREFIX, Scope, Walk};

/// What an `if` does besides.
enum Does<'a> {
    /// It always answers by itself.
    Answers,
    /// Something else than the worker answers there.
    HandsOn,
    /// What it does can change what comes behind it; the first of it.
    Acts(&'a Directive),
    /// Nothing that depends on its place.
    Nothing,
}

/// Whether a directive's answer comes from a script.
pub(super) fn is_script(name: &str) -> bool {
    name.starts_with("content_by_lua") || matches!(name, "js_content" | "perl")
}

/// Whether something else than the worker answers with this directive.
pub(super) fn answers(name: &str) -> bool {
    ANSWERS.contains(&name) || is_script(name)
}

/// Whether it is done where it stands, one after the other.
pub(super) fn is_step(directive: &Directive) -> bool {
    matches!(directive.name(), "if" | "return" | "break" | "rewrite") || is_set(directive)
}

/// `set`, and the like of other modules.
fn is_set(directive: &Directive) -> bool {
    assigned(directive).is_some() || directive.name().starts_with("set_by_lua")
}

/// Whether a location's steps may end before its last.
pub(super) fn ends_early(directives: &[&Directive]) -> bool {
    directives.iter().any(|one| {
        matches!(one.name(), "break" | "rewrite") || one.name() == "if" && ends_early(&level(one.inside()))
    })
}

fn does<'a>(inside: &[&'a Directive]) -> Does<'a> {
    let mut first = None;
    for one in inside.iter().copied() {
        match one.name() {
            "return" => return Does::Answers,
            "break" | "rewrite" => return Does::Acts(first.unwrap_or(one)),
            _ if is_set(one) => first = first.or(Some(one)),
            _ => {}
        }
    }
    match first {
        _ if inside.iter().any(|one| answers(one.name())) => Does::HandsOn,
        Some(first) => Does::Acts(first),
        None => Does::Nothing,
    }
}

/// Why a condition cannot be asked at the end of its location, with what stands between.
fn held(condition: &Directive, behind: &[&Directive]) -> Option<&'static str> {
    fn changes(directive: &Directive, name: &str) -> bool {
        let names = [format!("<{name}>"), format!("'{name}'")];
        assigned(directive).is_some_and(|own| own.eq_ignore_ascii_case(name))
            || directive.arguments().any(|word| names.iter().any(|name| word.contains(name)))
            || level(directive.inside()).iter().any(|inner| changes(inner, name))
    }
    let names: Vec<&str> = condition.arguments().flat_map(names).collect();
    if names.iter().any(|name| name.starts_with(|first: char| first.is_ascii_digit())) {
        Some("it asks for a group by its number, which has another meaning at the location's end")
    } else if behind.iter().any(|one| matches!(one.name(), "break" | "rewrite")) {
        Some("a break or rewrite behind it would pass over the location's end")
    } else if names.iter().any(|name| behind.iter().any(|one| changes(one, name))) {
        Some("what it asks for is changed behind it")
    } else {
        None
    }
}

/// The names of variables in a word.
fn names(word: &str) -> impl Iterator<Item = &str> {
    let name = |behind: &str| behind.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
    word.split('$')
        .skip(1)
        .map(|behind| behind.strip_prefix('{').unwrap_or(behind))
        .map(move |behind| &behind[..name(behind).unwrap_or(behind.len())])
        .filter(|name| !name.is_empty())
}

impl<'a> Walk<'a> {
    /// The conditions under which channels are named otherwise. They move to the location's end, so that
    /// none of its other directives is passed over.
    pub(super) fn conditions(
        &mut self,
        scope: &Scope<'a, '_>,
        place: &Place<'_>,
    ) -> Result<Vec<(&'a Directive, Option<Route>)>, ImportError> {
        let mut ways = Vec::new();
        for (number, condition) in scope.level.iter().copied().enumerate() {
            if condition.name() != "if" || condition.block.is_none() {
                continue;
            }
            let inside = level(condition.inside());
            let is_module = |one: &&Directive| one.name().starts_with(PREFIX);
            if !inside.iter().any(is_module) {
                continue;
            }
            self.said_of_condition(condition, &inside);
            let path = inside.iter().rev().find(|one| one.name() == format!("{PREFIX}channels_path"));
            let Some(path) = path else {
                if inside.iter().all(is_module) {
                    self.edits.remove(condition);
                }
                continue;
            };
            let pieces = value::pieces(self.one(path)?).map_err(|what| self.error(path, what))?;
            let behind = &scope.level[number + 1..];
            let refuses = match does(&inside) {
                // Its channels are never asked for.
                Does::Answers | Does::HandsOn => continue,
                Does::Acts(first) => {
                    self.edits.before(first, vec!["return 501;".to_owned()]);
                    Some("its if does more, and must do that where it stands")
                }
                Does::Nothing => {
                    let why = held(condition, behind);
                    if why.is_some() {
                        self.edits.at_end(condition, vec!["return 501;".to_owned()]);
                    }
                    why
                }
            };
            if let Some(why) = refuses {
                self.not_carried(path, why);
                continue;
            }
            let has_regex = condition.arguments().any(|word| matches!(word, "~" | "~*" | "!~" | "!~*"));
            let numbered = pieces.iter().any(|piece| matches!(piece, Piece::Group(_)));
            let way = if has_regex && numbered {
                self.not_carried(path, "its groups are those of an if");
                None
            } else if self.is_overtaken(behind) {
                self.not_carried(path, "an if behind this one has something else answer");
                None
            } else {
                self.route(path, place)?
            };
            ways.push((condition, way));
        }
        Ok(ways)
    }

    /// What of the module's cannot depend on a condition here.
    fn said_of_condition(&mut self, condition: &Directive, inside: &[&Directive]) {
        let names = |wanted: &[&str]| {
            inside
                .iter()
                .any(|one| one.name().strip_prefix(PREFIX).is_some_and(|name| wanted.contains(&name)))
        };
        if names(&SEEN.map(|(name, ..)| name)) {
            self.remark(
                condition,
                "what was received last is not asked by a condition here: the arguments time, tag and \
                 eventid are always read, and the headers where there are none",
            );
        }
        if names(&["store_messages", "allow_connections_to_events_channel"]) {
            self.remark(
                condition,
                "push_stream_store_messages and push_stream_allow_connections_to_events_channel are not \
                 carried over from a condition: what the location says counts",
            );
        }
    }

    /// Of several conditions that hold, Nginx takes the last, with channels or without. Whether something
    /// else answers there.
    fn is_overtaken(&mut self, behind: &[&'a Directive]) -> bool {
        let mut overtaken = false;
        for later in behind.iter().filter(|one| one.name() == "if" && one.block.is_some()) {
            let inside = level(later.inside());
            let names_channels = inside.iter().any(|one| one.name() == format!("{PREFIX}channels_path"));
            match does(&inside) {
                Does::Answers => {}
                Does::HandsOn => overtaken = true,
                Does::Acts(_) | Does::Nothing if names_channels => {}
                // The location's own way is what is left then, here too.
                Does::Acts(first) if matches!(first.name(), "break" | "rewrite") => {}
                Does::Acts(_) | Does::Nothing => self.remark(
                    later,
                    "where this holds, and an if before it that names channels, the location's own channels \
                     were meant; now those of the other if",
                ),
            }
        }
        overtaken
    }

    /// Says that 501 is answered, and why.
    pub(super) fn not_carried(&mut self, said: &Directive, why: &str) {
        let text = format!("push_stream_channels_path is not carried over, and 501 is answered: {why}");
        self.remark(said, text);
    }
}
