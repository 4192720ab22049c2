//! Configurations in; settings, directives of the site, and remarks out. Whole files are in
//! `tests/import_nginx.rs`.

mod refusals;
mod site;

use std::collections::BTreeMap;

use super::{Files, ImportError, Imported, Options, import};
use crate::config::pushstream::{Location, PushStream};

/// Files in memory; a pattern names all whose names begin like it.
#[derive(Default)]
struct Memory(BTreeMap<&'static str, &'static str>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Result<String, String> {
        self.0.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    }

    fn matching(&mut self, pattern: &str) -> Result<Vec<String>, String> {
        let begin = pattern.split('*').next().unwrap_or_default();
        Ok(self.0.keys().filter(|name| name.starts_with(begin)).map(|name| (*name).to_owned()).collect())
    }
}

fn imported(text: &str) -> Result<Imported, ImportError> {
    let mut files = Memory(BTreeMap::from([
        ("head.html", "<p>\n"),
        ("a/1", "push_stream_message_ttl 5m;"),
        (
            "a/2",
            "server { location /w { push_stream_subscriber websocket; push_stream_channels_path $arg_i; } }",
        ),
        ("b/1", "include b/1;"),
        ("b/2", "\n\nx"),
        ("c", "# nothing of the module"),
    ]));
    import("f", text, &Options::default(), &mut files)
}

fn settings(toml: &str) -> PushStream {
    #[derive(serde::Deserialize)]
    struct File {
        pushstream: PushStream,
    }
    let file: File = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    assert_eq!(file.pushstream.wrong_location(), None, "{toml}");
    file.pushstream
}

/// The site parses, has nothing of the module, and every brace it had.
fn sound(site: &str) {
    let directives = super::parse::parse(site).unwrap_or_else(|error| panic!("{error:?}\n{site}"));
    fn none(directives: &[super::parse::Directive]) {
        for directive in directives {
            assert!(!directive.name().starts_with("push_stream_"));
            if directive.name() != "map" {
                none(directive.inside());
            }
        }
    }
    none(&directives);
}

/// What of a location says something else than a location without anything, and its path and mode.
fn shown(location: &Location) -> String {
    let text = toml::to_string(location).unwrap();
    text.lines().map(|line| line.replace(" = ", "=").replace('"', "")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_location_with_what_it_inherits() {
    // What stands in http, in server and in location; what the location becomes.
    let table = [
        ("", "", "push_stream_subscriber;", "path=/s/ mode=streaming"),
        ("", "", "push_stream_subscriber Long-Polling;", "path=/s/ mode=long-polling"),
        ("", "", "push_stream_subscriber polling;", "path=/s/ mode=polling"),
        ("", "", "push_stream_publisher;", "path=/s mode=publisher store_messages=false"),
        ("", "", "push_stream_publisher; push_stream_store_messages on;", "path=/s mode=publisher"),
        ("", "", "push_stream_publisher normal;", "path=/s mode=publisher store_messages=false"),
        (
            "",
            "push_stream_padding_by_user_agent 'MSIE,9,8'; default_type text/html;",
            "push_stream_subscriber; push_stream_allow_connections_to_events_channel on;",
            "path=/s/ mode=streaming padding_by_user_agent=MSIE,9,8 default_type=text/html \
             allow_connections_to_events_channel=true",
        ),
        (
            "push_stream_padding_by_user_agent 'MSIE,9,8'; default_type text/html;",
            "",
            "push_stream_subscriber websocket;",
            "path=/s/ mode=websocket",
        ),
        ("", "", "push_stream_publisher ADMIN;", "path=/s mode=publisher-admin store_messages=false"),
        ("", "", "push_stream_channels_statistics;", "path=/s mode=statistics"),
        (
            "push_stream_message_template 'a ~id~';",
            "",
            "push_stream_subscriber websocket;",
            "path=/s/ mode=websocket message_template=a ~id~",
        ),
        (
            "push_stream_message_template a;",
            "push_stream_message_template b;",
            "push_stream_subscriber; push_stream_message_template ~text~;",
            "path=/s/ mode=streaming",
        ),
        (
            "",
            "",
            "push_stream_subscriber eventsource; push_stream_message_template '';",
            "path=/s/ mode=eventsource",
        ),
        (
            "push_stream_header_template h;",
            "push_stream_header_template_file head.html;",
            "push_stream_subscriber; push_stream_footer_template f;",
            "path=/s/ mode=streaming header_template= <p>  footer_template=f",
        ),
        (
            "push_stream_ping_message_interval 1m; push_stream_subscriber_connection_ttl 900;",
            "push_stream_longpolling_connection_ttl 1500ms;",
            "push_stream_subscriber eventsource;",
            "path=/s/ mode=eventsource ping_message_interval_s=60 subscriber_connection_ttl_s=900 \
             longpolling_connection_ttl_s=2",
        ),
        (
            "push_stream_ping_message_interval 1m; push_stream_longpolling_connection_ttl 30s;",
            "",
            "push_stream_subscriber websocket; push_stream_websocket_allow_publish on; push_stream_authorized_channels_only ON;",
            "path=/s/ mode=websocket ping_message_interval_s=60 authorized_channels_only=true \
             websocket_allow_publish=true store_messages=false",
        ),
        (
            "push_stream_channel_info_on_publish off; push_stream_message_template x; push_stream_allowed_origins *;",
            "",
            "push_stream_publisher;",
            "path=/s mode=publisher channel_info_on_publish=false allowed_origins=* store_messages=false",
        ),
        (
            "push_stream_allowed_origins $http_origin;",
            "",
            "push_stream_subscriber;",
            "path=/s/ mode=streaming",
        ),
        ("push_stream_websocket_allow_publish on;", "", "push_stream_subscriber;", "path=/s/ mode=streaming"),
    ];
    for (http, server, location, expected) in table {
        let text = format!(
            "{http}\nserver {{ {server}\nlocation /s {{ {location} push_stream_channels_path $arg_id; }} }}"
        );
        let imported = imported(&text).unwrap();
        let settings = settings(&imported.toml);
        assert_eq!(settings.locations.iter().map(shown).collect::<Vec<_>>(), [expected], "{text}");
        sound(&imported.site);
    }
}

#[test]
fn settings_of_the_whole_server() {
    let own = |change: fn(&mut PushStream)| {
        let mut settings = PushStream { enabled: true, message_ttl_s: 1_800, ..PushStream::default() };
        change(&mut settings);
        settings
    };
    let table: [(&str, PushStream); 10] = [
        ("", own(|_| {})),
        ("message_ttl 1h30m;", own(|one| one.message_ttl_s = 5_400)),
        ("max_messages_stored_per_channel 20;", own(|one| one.max_messages_stored_per_channel = 20)),
        ("max_subscribers_per_channel 5;", own(|one| one.max_subscribers_per_channel = 5)),
        (
            "max_number_of_channels 9; push_stream_max_number_of_wildcard_channels 3; \
             push_stream_channel_inactivity_time 1m; push_stream_wildcard_channel_prefix w;",
            own(|one| {
                one.max_number_of_channels = 9;
                one.max_number_of_wildcard_channels = 3;
                (one.wildcard_channel_prefix, one.wildcard_channel_max_qtd) = ("w".to_owned(), 3);
                one.channel_inactivity_time_s = 60;
            }),
        ),
        ("max_channel_id_length 200;", own(|one| one.max_channel_id_length = 200)),
        ("max_channel_id_length 2000;", own(|_| {})),
        (
            "ping_message_text ''; push_stream_timeout_with_body on;",
            own(|one| {
                one.ping_message_text = String::new();
                one.timeout_with_body = true;
            }),
        ),
        (
            "channel_deleted_message_text \"a \\\"b\\\"\\n\";",
            own(|one| one.channel_deleted_message_text = "a \"b\"\n".to_owned()),
        ),
        (
            "wildcard_channel_prefix broad_; push_stream_wildcard_channel_max_qtd 3;",
            own(|one| {
                one.wildcard_channel_prefix = "broad_".to_owned();
                one.wildcard_channel_max_qtd = 3;
            }),
        ),
    ];
    for (directives, expected) in table {
        let directives =
            if directives.is_empty() { String::new() } else { format!("push_stream_{directives}") };
        let text = format!(
            "events {{}} http {{ {directives} server {{ location ~ ^/s/(.*) {{ push_stream_subscriber; push_stream_channels_path $1; }} }} }}"
        );
        let found = settings(&imported(&text).unwrap().toml);
        assert_eq!(PushStream { locations: Vec::new(), ..found }, expected, "{directives}");
    }
}

#[test]
fn remarks_name_the_line() {
    // Behind the first line there is a location for each remark; those of every configuration are left out.
    let table: [(&str, &[&str]); 31] = [
        ("push_stream_shared_memory_size 32m;", &["1: push_stream_shared_memory_size is not needed"]),
        ("push_stream_max_number_of_channels 9;", &["1: max_number_of_channels counts what is open"]),
        ("push_stream_channel_inactivity_time 1m;", &[]),
        ("push_stream_events_channel_id x;", &[]),
        ("push_stream_events_channel_id 'a*';", &["1: push_stream_events_channel_id is not carried over"]),
        ("push_stream_user_agent $arg_ua;", &["1: push_stream_user_agent is not carried over"]),
        ("push_stream_events_channel_id '';", &[]),
        ("push_stream_allow_connections_to_events_channel off;", &[]),
        ("push_stream_keepalive on;", &["1: push_stream_keepalive is not carried over: version 0.6.0"]),
        (
            "push_stream_max_messages_stored_per_channel 1000;",
            &["1: of a room history.size messages are kept, 100 by default: set it to 1000"],
        ),
        (
            "push_stream_max_channel_id_length 257;",
            &["1: names of channels have up to 256 bytes here, not 257"],
        ),
        (
            "push_stream_max_subscribers_per_channel 7;",
            &["1: max_subscribers_per_channel is counted on each shard"],
        ),
        (
            "push_stream_ping_message_interval 100ms;",
            &["1: push_stream_ping_message_interval is of whole seconds here: 1 s"],
        ),
        (
            "push_stream_padding_by_user_agent '(?=x),1,2';",
            &["1: push_stream_padding_by_user_agent is not carried over"],
        ),
        ("load_module modules/ngx_http_push_stream_module.so;", &["1: the module is not loaded any more"]),
        (
            "push_stream_header_template_file no.html;",
            &["1: push_stream_header_template_file is not carried over: no.html: no such file"],
        ),
        ("push_stream_allowed_origins ä;", &["1: push_stream_allowed_origins is not carried over"]),
        ("push_stream_last_received_message_time $arg_time;", &[]),
        ("push_stream_last_received_message_time $arg_since;", &[]),
        ("push_stream_last_event_id $http_last_event_id;", &[]),
        (
            "push_stream_last_event_id $http_x;",
            &["1: push_stream_last_event_id comes to the worker as the header Last-Event-ID"],
        ),
        (
            "server { location /w { push_stream_subscriber; push_stream_channels_path $1; } }",
            &["1: push_stream_channels_path is not carried over, and 501 is answered: $1"],
        ),
        (
            "server { location /w { push_stream_subscriber; push_stream_channels_path a; proxy_pass http://x; } }",
            &["1: proxy_pass is taken out"],
        ),
        (
            "server { location /w { push_stream_subscriber; push_stream_channels_path a; rewrite a b; } }",
            &["1: a rewrite in a location"],
        ),
        (
            "server { location ~ ^/w/(.*) { push_stream_subscriber; push_stream_channels_path $1; if ($uri ~ (x)) { push_stream_channels_path y$1; } } }",
            &["1: push_stream_channels_path is not carried over, and 501 is answered: its groups"],
        ),
        (
            "server { location ~ ^/w/(.*) { push_stream_subscriber; push_stream_channels_path p_$1; if ($arg_old) { break; } } }",
            &["1: push_stream_channels_path is not carried over, and 501 is answered: a break"],
        ),
        (
            "server { location ~ ^/w/(.*) { push_stream_subscriber; push_stream_channels_path p_$1; if ($arg_old) { rewrite ^/w/(.*) /w/$1 last; } } }",
            &["1: push_stream_channels_path is not carried over, and 501 is answered: a break"],
        ),
        (
            "server { auth_basic $realm; location ~ ^/w/(.*) { push_stream_subscriber; push_stream_channels_path p_$1; } }",
            &["1: push_stream_channels_path is not carried over, and 501 is answered: who may come"],
        ),
        (
            "server { auth_basic $realm; location /w { push_stream_subscriber; push_stream_channels_path $arg_id; } }",
            &[],
        ),
        (
            "server { location /w { push_stream_allowed_origins $http_x; push_stream_subscriber; push_stream_channels_path $arg_id; if ($y) { add_header A a; } } }",
            &["1: add_header in this if takes"],
        ),
        (
            "server { location /p { push_stream_publisher; push_stream_store_messages on; push_stream_channels_path $arg_id; client_max_body_size 1k; } }",
            &["1: whoever came here was let in; now this machine only"],
        ),
    ];
    const ALWAYS: [&str; 6] = [
        "pages are let in",
        "of a room history.size messages are kept, 100 by default; ",
        "names of channels have up to 256 bytes; ",
        "there is no push_stream_ping",
        "a long poll without",
        "a path's ending",
    ];
    for (first, expected) in table {
        let text = format!(
            "{first}\nserver {{ location /s {{ push_stream_subscriber; push_stream_channels_path $arg_id; }} }}"
        );
        let imported = imported(&text).unwrap();
        sound(&imported.site);
        settings(&imported.toml);
        let remarks = imported
            .remarks
            .iter()
            .filter(|remark| !ALWAYS.iter().any(|begin| remark.text.starts_with(begin)));
        let remarks: Vec<String> = remarks.map(ToString::to_string).collect();
        assert!(!remarks.iter().any(|remark| remark.contains("  ")), "{remarks:?}");
        assert_eq!(remarks.len(), expected.len(), "{first}: {remarks:?}");
        for (remark, begin) in remarks.iter().zip(expected) {
            assert!(remark.starts_with(&format!("f:{begin}")), "{first}: {remark}");
        }
    }
}

#[test]
fn what_is_wrong_has_a_file_and_a_line() {
    let location = |inside: &str| {
        format!("\nserver {{\n location /s {{ {inside}\n push_stream_channels_path $arg_id; }} }}")
    };
    let table = [
        ("a".to_owned(), "f:1: this directive has no end: \";\" is missing"),
        ("\nserver {".to_owned(), "f:2: this block has no end"),
        ("push_stream_message_ttl 5q;".to_owned(), "f:1: push_stream_message_ttl: takes a time"),
        ("push_stream_message_ttl 0;".to_owned(), "f:1: push_stream_message_ttl: takes a time above 0"),
        (
            "push_stream_message_ttl;".to_owned(),
            "f:1: push_stream_message_ttl: has too many arguments, or too few",
        ),
        (
            "push_stream_max_channel_id_length 0;".to_owned(),
            "f:1: push_stream_max_channel_id_length: takes a number",
        ),
        (
            "push_stream_timeout_with_body yes;".to_owned(),
            "f:1: push_stream_timeout_with_body: takes on or off",
        ),
        ("push_stream_subscriber;".to_owned(), "f:1: push_stream_subscriber: is not allowed here"),
        (
            "server { push_stream_message_ttl 5m; }".to_owned(),
            "f:1: push_stream_message_ttl: is not allowed here",
        ),
        (
            "events { push_stream_message_ttl 5m; }".to_owned(),
            "f:1: push_stream_message_ttl: is not allowed here",
        ),
        (
            "server { push_stream_events_channel_id x; }".to_owned(),
            "f:1: push_stream_events_channel_id: is not allowed",
        ),
        (
            location("push_stream_subscriber smoke;"),
            "f:3: push_stream_subscriber: takes one of streaming, polling",
        ),
        (location("push_stream_publisher smoke;"), "f:3: push_stream_publisher: takes one of normal, admin"),
        (
            location("push_stream_publisher; push_stream_subscriber;"),
            "f:3: push_stream_subscriber: the location is for something already",
        ),
        (
            location("push_stream_subscriber; push_stream_message_template '';"),
            "f:3: push_stream_message_template: must not be empty",
        ),
        (
            location("push_stream_subscriber; push_stream_last_event_id $;"),
            "f:3: push_stream_last_event_id: a $ without",
        ),
        (
            "location /s { push_stream_subscriber; }".to_owned(),
            "f:1: location: push_stream_channels_path is missing",
        ),
        (
            "location a b c { push_stream_subscriber; push_stream_channels_path x; }".to_owned(),
            "f:1: location: a location has one path",
        ),
        ("\ninclude none;".to_owned(), "f:2: none: no such file"),
        ("\ninclude;".to_owned(), "f:2: include takes one file"),
        ("include b/1;".to_owned(), "b/1:1: b/1: more than 16 files include one another"),
        ("include b/2;".to_owned(), "b/2:3: this directive has no end"),
    ];
    for (text, expected) in table {
        let error = imported(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
