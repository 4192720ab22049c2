//! What becomes of the rest of a site, and of a configuration that is broken.

use super::{Memory, imported, settings, sound};
use crate::config::pushstream::LocationMode;
use crate::import_nginx::{Options, import};

#[test]
fn the_rest_of_the_site_stays_as_it_was() {
    // What the site has, and what it has not.
    let table: [(&str, &[&str], &[&str]); 9] = [
        (
            "include c;\ninclude a/*;\n",
            &[
                "include c;\n",
                "# a/2 begins here.",
                "proxy_pass http://chatup_import_worker/w/$arg_i$is_args$args;",
            ],
            &["a/*"],
        ),
        ("include c;", &["include c;"], &["chatup_import"]),
        (
            "  ä;server{ ö;location /s { push_stream_subscriber; push_stream_channels_path ü$arg_id; ä;}}",
            &["  ä;\n", "}\n\nserver{ ö;\n", "location /s { ä;\n", "/s/%C3%BC$arg_id"],
            &[],
        ),
        (
            "map $a $b { default c; push_stream_subscriber d; }",
            &["push_stream_subscriber d;"],
            &["chatup_import"],
        ),
        (
            "# chatup_import_x\nserver { location /p/ { proxy_pass http://y; } location /s { push_stream_subscriber; push_stream_channels_path $arg_id; } }",
            &["upstream chatup_import2_worker {", "proxy_pass http://y;", "proxy_set_header Host $host;"],
            &["For what is proxied"],
        ),
        (
            "server { add_header A a; location /s { push_stream_allowed_origins $http_x; push_stream_subscriber; push_stream_channels_path $arg_id; proxy_read_timeout 1d; } }",
            &[
                "add_header A a;\n",
                "add_header Access-Control-Allow-Origin $http_x always;",
                "proxy_read_timeout 1d;",
            ],
            &["proxy_read_timeout 1h;"],
        ),
        (
            "server { location ~ ^/s/(.*) { push_stream_subscriber; push_stream_channels_path $1; default_type text/html; \
             if ($a) { return 403; } if ($b) { push_stream_channels_path b_$1; } if ($c) { push_stream_channels_path c_$1; } } }",
            &[
                "if ($a) { return 403; }",
                "if ($c) {\n        rewrite ^/s/(.*) /s/c_$1 break;\n        proxy_pass http://chatup_import_worker;\n    }\n    if ($b) {",
                "rewrite ^/s/(.*) /s/$1 break;",
            ],
            &[],
        ),
        (
            "server { location /x { content_by_lua_block { local a = '}' -- }\n } } location /s { push_stream_channels_statistics; push_stream_channels_path $arg_id; deny all; } }",
            &["content_by_lua_block { local a = '}' -- }\n }", "rewrite ^ /s break;"],
            &["allow 127.0.0.1;"],
        ),
        (
            "http { a \"{ push_stream_b\"; # push_stream_c\n}",
            &["a \"{ push_stream_b\"; # push_stream_c"],
            &[],
        ),
    ];
    for (text, has, has_not) in table {
        let site = match imported(text) {
            Ok(imported) => imported.site,
            Err(error) => panic!("{text}: {error}"),
        };
        // The parser's own check takes names in quotations for what they are.
        sound(&site);
        for part in has {
            assert!(site.contains(part), "{part} is not in\n{site}");
        }
        for part in has_not {
            assert!(!site.contains(part), "{part} is in\n{site}");
        }
    }
}

#[test]
fn locations_served_alike_are_one_and_there_is_a_most() {
    let location = |number: usize| {
        format!("location /s{number}/ {{ push_stream_subscriber; push_stream_channels_path $arg_id; }}\n")
    };
    let all: String = (0..70).map(location).collect();
    let first = imported(&format!("server {{ {all} }}")).unwrap();
    assert_eq!(settings(&first.toml).locations.len(), 64);
    let lost = first.remarks.iter().filter(|remark| remark.text.contains("too many locations")).count();
    assert_eq!((lost, first.site.matches("return 501;").count()), (6, 6));
    let twice = imported(&format!("server {{ {} }} server {{ {} }}", location(1), location(1))).unwrap();
    let settings = settings(&twice.toml);
    assert_eq!(settings.locations.len(), 1);
    assert_eq!(settings.locations[0].mode, LocationMode::Streaming);
}

/// Pieces that a broken file is put together from.
const PIECES: [&str; 20] = [
    "{",
    "}",
    ";",
    "\"",
    "'",
    "\\",
    "$",
    "${",
    "#",
    "\n",
    " ",
    "(",
    "~ ",
    "if (",
    "include a/*;",
    "location /x {",
    "push_stream_subscriber;",
    "push_stream_channels_path $1;",
    "_by_lua_block { [[",
    "ä",
];

#[test]
fn nothing_that_is_broken_makes_it_panic() {
    let whole = include_str!("../../../tests/import_nginx/arguments.conf");
    for end in (0..whole.len()).step_by(3).filter(|end| whole.is_char_boundary(*end)) {
        if let Err(error) = imported(&whole[..end]) {
            assert!((1..=whole.lines().count() + 1).contains(&error.line), "{end}: {error}");
        }
    }
    // A generator of its own: a failure comes again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    let mut read = 0;
    for round in 0..1_000 {
        let mut text = whole.to_owned();
        for _ in 0..=random(3) {
            let boundary = |text: &str, mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let from = boundary(&text, random(text.len() + 1));
            let to = boundary(&text, (from + random(12)).min(text.len())).max(from);
            let piece = PIECES[random(PIECES.len())];
            let new = if random(3) == 0 { "" } else { piece };
            text.replace_range(from..to, new);
        }
        match imported(&text) {
            Ok(imported) => {
                read += 1;
                sound(&imported.site);
                settings(&imported.toml);
                // What came out has nothing left to carry over.
                let again = import("again", &imported.site, &Options::default(), &mut Memory::default());
                let again = again.map(|again| again.site);
                assert!(
                    again.is_ok_and(|site| site == imported.site) || imported.site.contains("include"),
                    "{round}"
                );
            }
            Err(error) => assert!(error.line >= 1 && !error.what.is_empty(), "{round}: {error}"),
        }
    }
    assert!(read > 100, "{read} of 1000 could be read");
}
