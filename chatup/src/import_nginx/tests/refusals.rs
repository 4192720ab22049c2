//! What was refused goes on being refused, and nothing that a client sends becomes a header of its own; and
//! what is too much is left out, with a remark.

use super::{imported, settings, sound};
use crate::config::pushstream::LOCATIONS_MAX;
use crate::config::tables::StatsFrom;

/// A part of a configuration; what the site has, but for the width of spaces, what it has not, and what
/// remarks say.
type Row<'r> = (&'r str, &'r [&'r str], &'r [&'r str], &'r [&'r str]);

fn check(text: &str, row: &Row<'_>) {
    let imported = imported(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    sound(&imported.site);
    settings(&imported.toml);
    let site = imported.site.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, has, has_not, remarks) = row;
    for part in *has {
        assert!(site.contains(part), "{part} is not in\n{}", imported.site);
    }
    for part in *has_not {
        assert!(!site.contains(part), "{part} is in\n{}", imported.site);
    }
    for part in *remarks {
        assert!(imported.remarks.iter().any(|remark| remark.text.contains(part)), "{part}: {text}");
    }
}

#[test]
fn nothing_decoded_becomes_a_header() {
    let table: [Row<'_>; 13] = [
        ("push_stream_last_event_id $1;", &[], &["Last-Event-ID"], &["$1 may hold line breaks"]),
        ("push_stream_last_event_id $uri;", &[], &["Last-Event-ID"], &["$uri may hold line breaks"]),
        ("push_stream_last_event_id 'a\\r\\nX: b';", &[], &["Last-Event-ID"], &["its text may hold"]),
        (
            "push_stream_last_event_id \"a $http_x\";",
            &["Last-Event-ID \"a $http_x\";"],
            &[],
            &["comes to the worker as"],
        ),
        (
            "push_stream_last_event_id $cookie_x;",
            &["Last-Event-ID $cookie_x;"],
            &[],
            &["comes to the worker as"],
        ),
        (
            "push_stream_last_received_message_time $time_map;",
            &[],
            &["If-Modified-Since"],
            &["$time_map may"],
        ),
        (
            "set $arg_since $uri; push_stream_last_received_message_time $arg_since;",
            &[],
            &["time=", "If-Modified-Since"],
            &["$arg_since may"],
        ),
        (
            "set $http_last_event_id $uri; push_stream_last_event_id $http_last_event_id;",
            &[],
            &["proxy_set_header Last-Event-ID"],
            &["$http_last_event_id may"],
        ),
        (
            "push_stream_allowed_origins https://$document_uri;",
            &[],
            &["Access-Control-Allow-Origin"],
            &["push_stream_allowed_origins is not carried over: $document_uri"],
        ),
        (
            "push_stream_allowed_origins $http_origin;",
            &["add_header Access-Control-Allow-Origin $http_origin always;"],
            &[],
            &[],
        ),
        (
            "proxy_set_header Host $uri; proxy_set_header X-A $host;",
            &["proxy_set_header Host $host;", "proxy_set_header X-A $host;"],
            &["$uri"],
            &["proxy_set_header is not carried over: $uri"],
        ),
        ("rewrite ^/none /x?id=$uri redirect;", &[], &["proxy_pass"], &["a rewrite in a location"]),
        ("set $args a=$uri;", &["if ($args ~ \"[\\x00-\\x20\\x7f]\") { return 400; }"], &[], &[]),
    ];
    for row in table {
        let text = format!(
            "server {{ location ~ ^/s/(.*) {{ push_stream_subscriber; push_stream_channels_path $1; {} }} }}",
            row.0
        );
        check(&text, &row);
    }
}

#[test]
fn a_condition_that_refuses_keeps_its_place() {
    let table: [Row<'_>; 11] = [
        (
            "if ($http_bad) { push_stream_channels_path a; return 403; } if ($http_b) { push_stream_channels_path b; }",
            &[
                "if ($http_bad) { return 403; }",
                "if ($http_b) { break; proxy_pass http://chatup_import_worker/s/b$",
            ],
            &["/s/a"],
            &[],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; set $x 1; } if ($x) { return 403; }",
            &["if ($http_a) { return 501; set $x 1; }", "if ($x) { return 403; }"],
            &["/s/a"],
            &["its if does more"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; break; }",
            &["return 501; break; }"],
            &["/s/a"],
            &["its if does more"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; rewrite ^ /b last; }",
            &["return 501; rewrite ^ /b last; }"],
            &["/s/a"],
            &["its if does more"],
        ),
        (
            "set $x 1; if ($x) { push_stream_channels_path a; } set $x 0;",
            &["if ($x) { return 501; }"],
            &["/s/a"],
            &["what it asks for is changed"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; } break;",
            &["if ($http_a) { return 501; }"],
            &["/s/a"],
            &["a break or rewrite behind it"],
        ),
        (
            "if ($1 = x) { push_stream_channels_path a; }",
            &["if ($1 = x) { return 501; }"],
            &["/s/a"],
            &["a group by its number"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; } if ($http_b) { proxy_pass http://b; }",
            &["if ($http_b) { proxy_pass http://b; }", "if ($http_a) { return 501; }"],
            &["/s/a"],
            &["an if behind this one has something else answer"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; } if ($http_b) { add_header A a; }",
            &["/s/a"],
            &[],
            &["the location's own channels were meant"],
        ),
        (
            "if ($http_a) { push_stream_channels_path a; content_by_lua_block { ngx.exit(403) } }",
            &["if ($http_a) { content_by_lua_block { ngx.exit(403) } }"],
            &["/s/a"],
            &[],
        ),
        (
            "if ($http_a) { push_stream_channels_path $1; } if ($http_b) { return 403; }",
            &["if ($http_b) { return 403; }", "if ($http_a) { return 501; }"],
            &[],
            &["$1 is from no regular expression"],
        ),
    ];
    for row in table {
        let text = format!(
            "server {{ location /s {{ push_stream_subscriber websocket; push_stream_channels_path $arg_id; {} }} }}",
            row.0
        );
        check(&text, &row);
    }
}

#[test]
fn who_sees_the_path_sees_the_same() {
    // Inside a location whose channels are put into its path, and of one that has them from an argument.
    let scripts = "a script, which may decide who may come";
    let table = [
        ("rewrite_by_lua_block { ngx.exit(403) }", scripts, true),
        ("rewrite_by_lua_file a.lua;", scripts, true),
        ("access_by_lua 'ngx.exit(403)';", scripts, true),
        ("header_filter_by_lua_block { }", scripts, true),
        ("if ($http_x) { access_by_lua_block { ngx.exit(403) } }", scripts, true),
        ("if ($http_x) { proxy_pass http://x; }", "what answers in an if", true),
        ("auth_jwt $realm;", "who may come is decided by variables", true),
        ("content_by_lua_block { ngx.exit(403) }", "a script answers here too", false),
        ("perl module::handler;", "a script answers here too", false),
        ("set_by_lua_block $x { return 1 }", "", true),
        ("log_by_lua_block { }", "", true),
        ("js_set $x module.f;", "", true),
    ];
    let location = |how: &str, inside: &str| {
        format!("server {{ location {how} push_stream_subscriber websocket; {inside} }} }}")
    };
    for (inside, why, only_path) in table {
        let by_path = location("~ ^/s/(.*) { push_stream_channels_path $1;", inside);
        let served = why.is_empty();
        let remarks = [why];
        let (has, has_not): (&[&str], &[&str]) = match served {
            true => (&["rewrite ^/s/(.*) /s/$1 break;"], &["return 501;"]),
            false => (&["return 501;"], &["chatup_import_worker;", "rewrite ^"]),
        };
        check(&by_path, &(inside, has, has_not, &remarks));
        let by_argument = location("/s { push_stream_channels_path $arg_id;", inside);
        let (has, has_not): (&[&str], &[&str]) = match served || only_path {
            true => (&["proxy_pass http://chatup_import_worker/s/$arg_id"], &["return 501;"]),
            false => (&["return 501;"], &["proxy_pass"]),
        };
        check(&by_argument, &(inside, has, has_not, &[]));
    }
    // Around it, too; and nothing passes over the answer.
    let around = "access_by_lua_file a.lua; server { location ~ ^/s/(.*) { set $a b; break; \
                  push_stream_subscriber; push_stream_channels_path $1; } }";
    check(around, &("", &["return 501; set $a b;"], &["proxy_pass"], &[]));
    let before = imported(around).unwrap().site;
    assert!(before.find("return 501;") < before.find("break;"), "{before}");
}

#[test]
fn who_may_publish() {
    const LINES: &str = "allow 127.0.0.1;\n    allow ::1;\n    deny all;";
    use StatsFrom::{Anyone, Loopback};
    // The rules; whether this machine's are put in; who publishes at the worker; what is taken out.
    let table = [
        ("", true, Loopback, ""),
        ("deny all;", false, Loopback, ""),
        ("allow 127.0.0.1; allow ::1; deny all;", false, Loopback, ""),
        ("allow 127.0.0.0/8; deny all;", false, Loopback, ""),
        ("allow 127.0.0.0/1; deny all;", false, Anyone, ""),
        ("allow 10.0.0.0/8; deny all;", false, Anyone, ""),
        ("allow unix:; deny all;", false, Anyone, ""),
        ("allow 127.0.0.1; allow unix:; deny all;", false, Anyone, ""),
        ("allow all; deny all;", true, Loopback, "allow all;"),
        ("allow 0.0.0.0/0; deny all;", true, Loopback, "0.0.0.0/0"),
        ("allow ::/0; deny all;", true, Loopback, "::/0"),
        ("deny 192.0.2.1; allow all; deny all;", true, Loopback, "allow all;"),
        ("deny all; allow all;", false, Loopback, ""),
        ("deny ::/0; allow all;", true, Loopback, "allow all;"),
        ("deny 0.0.0.0/0; deny ::/0;", false, Loopback, ""),
        ("deny 0.0.0.0/0;", true, Loopback, ""),
        ("allow 10.0.0.5; deny ::/0; deny 0.0.0.0/0;", false, Anyone, ""),
        ("deny 192.0.2.1;", true, Loopback, ""),
        ("auth_basic a;", false, Anyone, ""),
        ("auth_basic a; allow all; deny all;", false, Anyone, ""),
        ("satisfy any; auth_basic a; allow all; deny all;", true, Loopback, "allow all;"),
        ("satisfy any; auth_basic a; allow 127.0.0.1; deny all;", false, Anyone, ""),
    ];
    for (rules, puts_in, who, without) in table {
        let text = format!(
            "server {{\nlocation /p {{ push_stream_publisher; push_stream_channels_path $arg_id; {rules} }} }}"
        );
        let imported = imported(&text).unwrap();
        assert_eq!(imported.site.contains(LINES), puts_in, "{}", imported.site);
        assert!(without.is_empty() || !imported.site.contains(without), "{}", imported.site);
        assert_eq!(settings(&imported.toml).publish_from, who, "{rules}");
        let said = imported.remarks.iter().any(|remark| remark.text.contains("now this machine only"));
        assert_eq!(said, puts_in, "{rules}");
        let said = imported.remarks.iter().any(|remark| remark.text.contains("is asked by Nginx"));
        assert_eq!(said, who == Anyone, "{rules}");
    }
}

#[test]
fn gzip_is_for_answers_that_end() {
    // The mode, what the location says, whether the site switches it off there, and whether that is said.
    let table = [
        ("subscriber polling", "", false, false),
        ("subscriber long-polling", "", false, false),
        ("publisher", "", false, false),
        ("subscriber", "", true, true),
        ("subscriber eventsource", "", true, true),
        ("subscriber websocket", "", true, false),
        ("subscriber", "gzip on;", false, false),
    ];
    for (mode, inside, off, is_said) in table {
        for outside in ["gzip on;", "gzip off;"] {
            let text = format!(
                "{outside} server {{ location /s {{ push_stream_{mode}; push_stream_channels_path $arg_id; {inside} }} }}"
            );
            let imported = imported(&text).unwrap();
            let (_, location) = imported.site.split_once("location /s").unwrap();
            assert_eq!(location.contains("gzip off;"), off, "{}", imported.site);
            let said = imported.remarks.iter().filter(|one| one.text.contains("are not compressed")).count();
            assert_eq!(said, usize::from(is_said && outside == "gzip on;"), "{text}");
        }
    }
}

#[test]
fn padding_counts_like_locations() {
    let location = |number: usize, groups: usize| {
        let padding = vec!["a,1,1"; groups].join(":");
        format!(
            "location /s{number}/ {{ push_stream_subscriber; push_stream_channels_path $arg_id; \
             push_stream_padding_by_user_agent '{padding}'; }}\n"
        )
    };
    // Groups of each location; how many locations are padded for, and how many are carried over.
    let table: [(&[usize], usize, usize); 6] = [
        (&[1; 32], 32, 32),
        (&[1; 33], 31, 33),
        (&[31, 31, 31], 1, 3),
        (&[30, 30, 1], 3, 3),
        (&[30, 31, 1], 2, 3),
        (&[1; 70], 0, 64),
    ];
    for (groups, padded, carried) in table {
        let all: String =
            groups.iter().enumerate().map(|(number, groups)| location(number, *groups)).collect();
        let imported = imported(&format!("server {{ {all} }}")).unwrap();
        let settings = settings(&imported.toml);
        let has = settings.locations.iter().filter(|one| !one.padding_by_user_agent.is_empty()).count();
        assert_eq!((has, settings.locations.len()), (padded, carried), "{groups:?}");
        let lost = imported.remarks.iter().filter(|one| one.text.contains("padding_by_user_agent is not"));
        assert_eq!(lost.count(), carried - padded, "{groups:?}");
        assert!(carried <= LOCATIONS_MAX);
    }
}

#[test]
fn what_else_is_said() {
    let table: [Row<'_>; 7] = [
        ("push_stream_header_template_file head.html;", &[], &[], &["head.html was read from the directory"]),
        ("default_type text/html;", &[], &[], &["is shown as a page of this site"]),
        ("default_type 'TEXT/HTML; charset=utf-8';", &[], &[], &["is shown as a page of this site"]),
        ("default_type image/svg+xml;", &[], &[], &["is shown as a page of this site"]),
        ("push_stream_max_number_of_wildcard_channels 3;", &[], &[], &["without push_stream_wildcard"]),
        (
            "push_stream_max_number_of_wildcard_channels 3; push_stream_wildcard_channel_prefix '';",
            &[],
            &[],
            &["without push_stream_wildcard"],
        ),
        ("gzip on;", &[], &[], &["streams and event sources are not compressed here"]),
    ];
    for row in table {
        let text = format!(
            "{} server {{ location /s {{ push_stream_subscriber; push_stream_channels_path $arg_id; }} }}",
            row.0
        );
        check(&text, &row);
        assert!(!imported(&text).unwrap().toml.contains("max_number_of_wildcard"), "{text}");
    }
    let plain = "default_type text/plain; server { location /s { push_stream_subscriber; push_stream_channels_path a; } }";
    assert!(!imported(plain).unwrap().remarks.iter().any(|one| one.text.contains("shown as a page")));
}
