//! The content types of what is sent, by the ending of a path, as web servers know them.

/// The usual ones.
const TYPES: [(&str, &str); 14] = [
    ("atom", "application/atom+xml"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("js", "application/javascript"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "application/javascript"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "text/xml"),
];

/// The content type that a path's ending names: of its last part, behind the last point.
#[must_use]
pub fn by_ending(path: &str) -> Option<&'static str> {
    let last = path.rsplit('/').next()?;
    let (_, ending) = last.rsplit_once('.')?;
    let (_, kind) = TYPES.iter().find(|(own, _)| own.eq_ignore_ascii_case(ending))?;
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ending_of_the_last_part_counts() {
        let table = [
            ("x.json", Some("application/json")),
            ("x.HTML", Some("text/html")),
            ("x.foo.js", Some("application/javascript")),
            ("a/x.xml", Some("text/xml")),
            ("x.json/y", None),
            ("x.json/", None),
            ("x.json.b1", None),
            ("x.unknown", None),
            ("json", None),
            ("", None),
        ];
        for (path, kind) in table {
            assert_eq!(by_ending(path), kind, "{path}");
        }
    }
}
