//! What variables hold, and what may be put into a header or a URL. `$arg_*`, `$http_*` and `$cookie_*` are as
//! the client sent them, so they have no line break. Others may hold what Nginx has decoded (`$uri`, a path's
//! groups, `$remote_user`), or what the configuration makes itself: with a line break in it, whoever sends
//! the request would write headers, or whole requests, to the worker.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::files::level;
use super::parse::Directive;
use super::value::{Piece, pieces};

/// What names of variables begin with that hold what the client sent, undecoded.
const RAW: [&str; 3] = ["arg_", "http_", "cookie_"];
/// Those that Nginx makes, of what it has looked at or of what is not decoded.
const MADE: [&str; 15] = [
    "connection",
    "content_length",
    "host",
    "hostname",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "remote_addr",
    "remote_port",
    "request_id",
    "request_method",
    "request_uri",
    "scheme",
    "server_addr",
    "server_port",
    "server_protocol",
];
/// The arguments of a URL, which Nginx hands on as they are.
const ARGUMENTS: &str = "args";

/// Whom the configuration assigns something to: such a variable is what that is, whatever its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    assigned: Rc<BTreeSet<String>>,
    /// Those of maps, which choose among plain words and what the client sent.
    chosen: Rc<BTreeSet<String>>,
}

impl Variables {
    /// All that directives assign to, and the names of groups in the files' texts.
    pub(super) fn of(directives: &[&Directive], texts: &[&str]) -> Variables {
        let (mut names, mut maps) = (BTreeSet::new(), Vec::new());
        gather(directives, &mut names, &mut maps);
        for text in texts {
            names.extend(text.split("(?").skip(1).filter_map(group_name).map(str::to_ascii_lowercase));
        }
        let name_of = |map: &&Directive| assigned(map).map(str::to_ascii_lowercase);
        let all = names.iter().cloned().chain(maps.iter().filter_map(name_of)).collect();
        let others = Variables { assigned: Rc::new(all), ..Variables::default() };
        let (chosen, made): (Vec<_>, Vec<_>) = maps.iter().partition(|map| others.chooses(map));
        names.extend(made.iter().copied().filter_map(name_of));
        let chosen =
            chosen.iter().copied().filter_map(name_of).filter(|name| !names.contains(name)).collect();
        Variables { assigned: Rc::new(names), chosen: Rc::new(chosen) }
    }

    /// Whether a map's values are plain words and what the client sent.
    fn chooses(&self, map: &Directive) -> bool {
        let unread = |one: &Directive| one.name() == "include" && one.included.is_empty();
        let safe = |value: Vec<Piece>| self.unsafe_in_header(&value).is_none();
        !map.inside().iter().any(unread)
            && level(map.inside()).iter().all(|entry| match (entry.name(), entry.word(1)) {
                (name, None) => matches!(name, "hostnames" | "volatile"),
                (_, Some(value)) => pieces(value).is_ok_and(safe),
            })
    }

    fn is_among(&self, name: &str, begins: &[&str]) -> bool {
        let name = name.to_ascii_lowercase();
        let of_url = name.starts_with("arg_") && self.makes_arguments();
        begins.iter().any(|begin| name.len() > begin.len() && name.starts_with(begin))
            && !self.assigned.contains(&name)
            && !of_url
    }

    /// Whether the configuration puts something into the URL's arguments that may be decoded.
    pub(super) fn makes_arguments(&self) -> bool {
        self.assigned.contains(ARGUMENTS)
    }

    /// Whether it is an argument of the URL, as it was sent.
    pub(super) fn is_argument(&self, piece: &Piece) -> bool {
        matches!(piece, Piece::Variable(name) if piece.argument().is_some() && self.is_among(name, &["arg_"]))
    }

    /// Whether it is what the client sent, as it was sent.
    pub(super) fn is_sent(&self, piece: &Piece) -> bool {
        let Piece::Variable(name) = piece else { return false };
        self.is_among(name, &RAW) || self.chosen.contains(&name.to_ascii_lowercase())
    }

    /// What of a text must not come into a header: the first variable that may hold a line break, or a line
    /// break itself.
    pub(super) fn unsafe_in_header(&self, pieces: &[Piece]) -> Option<String> {
        pieces.iter().find_map(|piece| match piece {
            Piece::Literal(text) => text.chars().any(char::is_control).then(|| "its text".to_owned()),
            Piece::Group(number) => Some(format!("${number}")),
            Piece::Variable(name) => (!self.is_sent(piece)).then(|| format!("${name}")),
        })
    }

    /// The same of a header that is in the configuration already: what Nginx makes may stand there, too.
    pub(super) fn unsafe_as_written(&self, pieces: &[Piece]) -> Option<String> {
        let others: Vec<Piece> = pieces
            .iter()
            .filter(|piece| !matches!(piece, Piece::Variable(name) if MADE.contains(&name.as_str())))
            .cloned()
            .collect();
        self.unsafe_in_header(&others)
    }
}

/// The variable that a directive assigns to, without its `$`.
pub(super) fn assigned(directive: &Directive) -> Option<&str> {
    let name = directive.name();
    let word = match name {
        "map" | "geo" | "split_clients" => directive.words.last().map(|word| word.text.as_str()),
        "js_var" => directive.word(1),
        _ if name.starts_with("set") || name.ends_with("_set") => directive.word(1),
        _ => None,
    };
    word?.strip_prefix('$')
}

fn gather<'a>(directives: &[&'a Directive], names: &mut BTreeSet<String>, maps: &mut Vec<&'a Directive>) {
    for directive in directives {
        if directive.name() == "map" {
            maps.push(directive);
            continue;
        }
        names.extend(assigned(directive).map(str::to_ascii_lowercase));
        // Groups by number are encoded there, others are not.
        let target = match directive.name() {
            "rewrite" => directive.word(2),
            "try_files" | "error_page" => directive.words.last().map(|word| word.text.as_str()),
            _ => None,
        };
        let arguments = target.and_then(|target| target.split_once('?'));
        let is_name =
            |next: &str| !next.is_empty() && !next.starts_with(|first: char| first.is_ascii_digit());
        if arguments.is_some_and(|(_, arguments)| arguments.split('$').skip(1).any(is_name)) {
            names.insert(ARGUMENTS.to_owned());
        }
        gather(&level(directive.inside()), names, maps);
    }
}

/// The name of a group, behind its bracket and question mark.
fn group_name(behind: &str) -> Option<&str> {
    let name = behind.strip_prefix('P').unwrap_or(behind).strip_prefix(['<', '\''])?;
    let end = name.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import_nginx::parse::parse;

    #[test]
    fn what_may_be_in_a_header() {
        // A configuration, a text, and what in the text must not come into a header.
        let table = [
            ("", "plain", None),
            ("", "a $arg_id${http_x} $cookie_c", None),
            ("", "a\r\nb", Some("its text")),
            ("", "$1", Some("$1")),
            ("", "a $uri", Some("$uri")),
            ("", "$document_uri", Some("$document_uri")),
            ("", "$remote_user", Some("$remote_user")),
            ("", "$http_", Some("$http_")),
            ("set $http_x $uri;", "$http_x", Some("$http_x")),
            ("server { if ($a) { set_unescape_uri $ARG_id $arg_id; } }", "$arg_id", Some("$arg_id")),
            ("map $uri $cookie_c { default a; }", "$cookie_c", None),
            ("map $uri $cookie_c { default $uri; }", "$cookie_c", Some("$cookie_c")),
            ("map $http_origin $o { default \"\"; ~^https $http_origin; }", "$o", None),
            ("map $http_origin $o { ~^(?<x>.*) $x; }", "$o", Some("$o")),
            ("map $http_origin $o { ~^(.*) $1; }", "$o", Some("$o")),
            ("map $a $o { include other; }", "$o", Some("$o")),
            ("map $a $o { default b; } map $a $o { default $uri; }", "$o", Some("$o")),
            ("map $a $o { default b; } server { set $o $uri; }", "$o", Some("$o")),
            ("map $a $arg_x { default $uri; } map $a $o { default $arg_x; }", "$o", Some("$o")),
            ("auth_request_set $arg_u $sent_http_u;", "$arg_u", Some("$arg_u")),
            ("location ~ ^/(?<arg_id>.*) { }", "$arg_id", Some("$arg_id")),
            ("location ~ \"^/(?P<arg_id>.*)\" { }", "$arg_id", Some("$arg_id")),
            ("location ~ ^/(?=arg_id)(?'other'.) { }", "$arg_id", None),
            ("set $args id=$uri;", "$arg_id", Some("$arg_id")),
            ("rewrite ^ /x?id=$uri;", "$arg_id", Some("$arg_id")),
            ("rewrite ^/(.*) /x?id=$1;", "$arg_id", None),
            ("try_files $uri /x?id=$uri;", "$arg_id", Some("$arg_id")),
            ("error_page 404 /x?id=$uri;", "$arg_id", Some("$arg_id")),
            ("error_page 404 /x?id=1;", "$arg_id", None),
            ("limit_req_zone $arg_id zone=a:1m rate=1r/s; set_real_ip_from ::1;", "$arg_id", None),
        ];
        for (text, value, expected) in table {
            let directives = parse(text).unwrap();
            let variables = Variables::of(&directives.iter().collect::<Vec<_>>(), &[text]);
            let found = variables.unsafe_in_header(&pieces(value).unwrap());
            assert_eq!(found.as_deref(), expected, "{text} {value}");
        }
    }

    #[test]
    fn what_may_stay_in_a_header() {
        let none = Variables::default();
        let table = [("$host:$server_port", None), ("$uri", Some("$uri")), ("$scheme $2", Some("$2"))];
        for (value, expected) in table {
            assert_eq!(none.unsafe_as_written(&pieces(value).unwrap()).as_deref(), expected, "{value}");
        }
    }
}
