//! How channels are doing, in the module's four formats. Lines end with CR LF; names are escaped, as the
//! module's are not.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::message::UnixMillis;
use crate::names::ChannelName;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines.
    Plain,
    /// JSON, under this content type.
    Json(&'static str),
    /// YAML, under this content type.
    Yaml(&'static str),
    /// XML.
    Xml,
}

impl Format {
    /// The first in the list of what is accepted that is known; JSON where none is.
    #[must_use]
    pub fn accepted(accept: &str) -> Format {
        const KNOWN: [(&str, Format); 6] = [
            ("plain", Format::Plain),
            ("json", Format::Json("application/json")),
            ("yaml", Format::Yaml("application/yaml")),
            ("xml", Format::Xml),
            ("x-json", Format::Json("text/x-json")),
            ("x-yaml", Format::Yaml("text/x-yaml")),
        ];
        let kinds = accept.split('/').skip(1);
        let known = |kind: &str| KNOWN.iter().find(|(name, _)| kind.starts_with(name)).map(|(_, f)| *f);
        kinds.filter_map(known).next().unwrap_or(KNOWN[1].1)
    }

    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Plain => "text/plain",
            Format::Json(kind) | Format::Yaml(kind) => kind,
            Format::Xml => "application/xml",
        }
    }
}

/// How a channel is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Which.
    pub channel: ChannelName,
    /// Messages since it began, or was last deleted.
    pub published: u64,
    /// Messages that newcomers may have.
    pub stored: u64,
    /// Subscribers at this worker.
    pub subscribers: u64,
}

/// Who says so, and of how many channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The machine.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// Now.
    pub time: UnixMillis,
    /// How long it has run, in seconds.
    pub uptime_s: u64,
    /// Its channels.
    pub channels: u64,
    /// Those of them that are wildcard channels.
    pub wildcard_channels: u64,
}

/// All channels together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages published.
    pub published: u64,
    /// Messages stored.
    pub stored: u64,
    /// Subscriptions.
    pub subscribers: u64,
}

impl Host {
    fn date(&self) -> String {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let second = i64::try_from(self.time.whole_seconds()).unwrap_or(0);
        let date = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        date.format(form).unwrap_or_default()
    }
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\r\n";

/// What Unicode calls control characters are in no name and no host's.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A name as YAML takes it: as it is where that is plain, else as JSON's texts are.
fn yaml(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let means_something = word.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && !means_something && text.bytes().all(plain) { text.to_owned() } else { json(text) }
}

fn item(format: Format, info: &Info) -> String {
    let Info { channel, published, stored, subscribers } = info;
    let channel = channel.as_str();
    match format {
        Format::Json(_) => format!(
            "{{\"channel\": {}, \"published_messages\": {published}, \"stored_messages\": {stored}, \
             \"subscribers\": {subscribers}}}",
            json(channel)
        ),
        Format::Plain => format!(
            "channel: {channel}\r\npublished_messages: {published}\r\nstored_messages: {stored}\r\n\
             active_subscribers: {subscribers}"
        ),
        Format::Yaml(_) => format!(
            "  channel: {}\r\n  published_messages: {published}\r\n  stored_messages: {stored}\r\n  \
             subscribers: {subscribers}",
            yaml(channel)
        ),
        Format::Xml => format!(
            "<channel>\r\n  <name>{}</name>\r\n  <published_messages>{published}</published_messages>\r\n  \
             <stored_messages>{stored}</stored_messages>\r\n  <subscribers>{subscribers}</subscribers>\r\n\
             </channel>\r\n",
            xml(channel)
        ),
    }
}

/// One channel.
#[must_use]
pub fn one(format: Format, info: &Info) -> String {
    let head = if format == Format::Xml { XML } else { "" };
    format!("{head}{}\r\n", item(format, info))
}

/// Several channels.
#[must_use]
pub fn list(format: Format, host: &Host, infos: &[Info]) -> String {
    let items: Vec<String> = infos.iter().map(|info| item(format, info)).collect();
    let Host { hostname, uptime_s, channels, wildcard_channels, .. } = host;
    let date = host.date();
    match format {
        Format::Json(_) => {
            let end = if items.is_empty() { "" } else { "\r\n" };
            format!(
                "{{\"hostname\": {}, \"time\": \"{date}\", \"channels\": {channels}, \"wildcard_channels\": \
                 {wildcard_channels}, \"uptime\": {uptime_s}, \"infos\": [\r\n{}{end}]}}\r\n",
                json(hostname),
                items.join(",\r\n")
            )
        }
        Format::Plain => format!(
            "hostname: {hostname}, time: {date}, channels: {channels}, wildcard_channels: \
             {wildcard_channels}, uptime: {uptime_s}, infos: \r\n{}\r\n",
            items.join(",\r\n")
        ),
        Format::Yaml(_) => {
            let items: Vec<String> = items.iter().map(|item| format!(" -\r\n{item}")).collect();
            format!(
                "hostname: {}\r\ntime: {date}\r\nchannels: {channels}\r\nwildcard_channels: \
                 {wildcard_channels}\r\nuptime: {uptime_s}\r\ninfos: \r\n{}\r\n",
                yaml(hostname),
                items.join("\r\n")
            )
        }
        Format::Xml => format!(
            "{XML}<root>\r\n  <hostname>{}</hostname>\r\n  <time>{date}</time>\r\n  <channels>{channels}\
             </channels>\r\n  <wildcard_channels>{wildcard_channels}</wildcard_channels>\r\n  <uptime>\
             {uptime_s}</uptime>\r\n  <infos>\r\n{}  </infos>\r\n</root>\r\n",
            xml(hostname),
            items.concat()
        ),
    }
}

/// All of them together.
#[must_use]
pub fn summary(format: Format, host: &Host, totals: &Totals) -> String {
    let Totals { published, stored, subscribers } = totals;
    let date = host.date();
    let escape = |text: &str| match format {
        Format::Json(_) => json(text),
        Format::Plain => text.to_owned(),
        Format::Yaml(_) => yaml(text),
        Format::Xml => xml(text),
    };
    let texts = [
        ("hostname", escape(&host.hostname)),
        ("time", if matches!(format, Format::Json(_)) { json(&date) } else { date }),
    ];
    let numbers = [
        ("channels", host.channels),
        ("wildcard_channels", host.wildcard_channels),
        ("published_messages", *published),
        ("stored_messages", *stored),
        // There is no such place here: what is gone is gone.
        ("messages_in_trash", 0),
        ("channels_in_delete", 0),
        ("channels_in_trash", 0),
        ("subscribers", *subscribers),
        ("uptime", host.uptime_s),
    ];
    let numbers = numbers.map(|(name, number)| (name, number.to_string()));
    let fields = texts.into_iter().chain(numbers);
    let lines = |line: fn((&str, String)) -> String| fields.map(line).collect::<String>();
    let (pid, uptime) = (host.pid, host.uptime_s);
    match format {
        Format::Json(_) => format!(
            "{{{}\"by_worker\": [\r\n{{\"pid\": \"{pid}\", \"subscribers\": {subscribers}, \"uptime\": \
             {uptime}}}\r\n]}}\r\n",
            lines(|(name, value)| format!("\"{name}\": {value}, "))
        ),
        Format::Plain => format!(
            "{}by_worker:\r\n  pid: {pid}\r\n  subscribers: {subscribers}\r\n  uptime: {uptime}\r\n",
            lines(|(name, value)| format!("{name}: {value}\r\n"))
        ),
        Format::Yaml(_) => format!(
            "{}  by_worker:\r\n   -\r\n    pid: {pid}\r\n    subscribers: {subscribers}\r\n    uptime: \
             {uptime}\r\n",
            lines(|(name, value)| format!("  {name}: {value}\r\n"))
        ),
        Format::Xml => format!(
            "{XML}<infos>\r\n{}  <by_worker><worker>\r\n  <pid>{pid}</pid>\r\n  <subscribers>{subscribers}\
             </subscribers>\r\n  <uptime>{uptime}</uptime>\r\n</worker>\r\n</by_worker>\r\n</infos>\r\n",
            lines(|(name, value)| format!("  <{name}>{value}</{name}>\r\n"))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str) -> Info {
        Info { channel: ChannelName::new(name).unwrap(), published: 3, stored: 2, subscribers: 1 }
    }

    fn host() -> Host {
        let time = UnixMillis(1_714_558_830_000);
        Host { hostname: "h".into(), pid: 11, time, uptime_s: 7, channels: 2, wildcard_channels: 0 }
    }

    const ALL: [Format; 4] =
        [Format::Json("application/json"), Format::Plain, Format::Yaml("application/yaml"), Format::Xml];

    #[test]
    fn one_channel() {
        let expected = [
            "{\"channel\": \"c\", \"published_messages\": 3, \"stored_messages\": 2, \"subscribers\": 1}\r\n",
            "channel: c\r\npublished_messages: 3\r\nstored_messages: 2\r\nactive_subscribers: 1\r\n",
            "  channel: c\r\n  published_messages: 3\r\n  stored_messages: 2\r\n  subscribers: 1\r\n",
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\r\n<channel>\r\n  <name>c</name>\r\n  \
             <published_messages>3</published_messages>\r\n  <stored_messages>2</stored_messages>\r\n  \
             <subscribers>1</subscribers>\r\n</channel>\r\n\r\n",
        ];
        for (format, expected) in ALL.into_iter().zip(expected) {
            assert_eq!(one(format, &info("c")), expected);
        }
        let odd = one(ALL[0], &info("q\"<\\"));
        assert!(serde_json::from_str::<serde_json::Value>(&odd).unwrap()["channel"] == "q\"<\\");
        assert!(one(Format::Xml, &info("q\"<&")).contains("<name>q&quot;&lt;&amp;</name>"));
        assert!(one(ALL[2], &info("True")).contains("channel: \"True\""));
        assert!(one(ALL[2], &info("a: b")).contains("channel: \"a: b\""));
    }

    #[test]
    fn lists() {
        let infos = [info("c"), info("d")];
        let of = |name: &str| {
            format!("channel: {name}\r\npublished_messages: 3\r\nstored_messages: 2\r\nactive_subscribers: 1")
        };
        let plain = format!(
            "hostname: h, time: 2024-05-01T10:20:30, channels: 2, wildcard_channels: 0, uptime: 7, infos: \
             \r\n{},\r\n{}\r\n",
            of("c"),
            of("d")
        );
        assert_eq!(list(Format::Plain, &host(), &infos), plain);
        let head = "{\"hostname\": \"h\", \"time\": \"2024-05-01T10:20:30\", \"channels\": 2, \
                    \"wildcard_channels\": 0, \"uptime\": 7, \"infos\": [\r\n";
        assert_eq!(list(ALL[0], &host(), &[]), format!("{head}]}}\r\n"));
        let json = list(ALL[0], &host(), &infos);
        assert!(
            json.starts_with(head)
                && json.contains("},\r\n{\"channel\": \"d\"")
                && json.ends_with("}\r\n]}\r\n")
        );
        let yaml = list(ALL[2], &host(), &infos);
        assert!(yaml.contains("infos: \r\n -\r\n  channel: c\r\n") && yaml.ends_with("  subscribers: 1\r\n"));
        let xml = list(Format::Xml, &host(), &infos);
        assert!(
            xml.contains("  <infos>\r\n<channel>\r\n")
                && xml.ends_with("</channel>\r\n  </infos>\r\n</root>\r\n")
        );
    }

    #[test]
    fn summaries() {
        let totals = Totals { published: 5, stored: 4, subscribers: 1 };
        let json = summary(ALL[0], &host(), &totals);
        assert_eq!(
            json,
            "{\"hostname\": \"h\", \"time\": \"2024-05-01T10:20:30\", \"channels\": 2, \"wildcard_channels\": 0, \
             \"published_messages\": 5, \"stored_messages\": 4, \"messages_in_trash\": 0, \"channels_in_delete\": \
             0, \"channels_in_trash\": 0, \"subscribers\": 1, \"uptime\": 7, \"by_worker\": [\r\n{\"pid\": \"11\", \
             \"subscribers\": 1, \"uptime\": 7}\r\n]}\r\n"
        );
        let plain = summary(Format::Plain, &host(), &totals);
        assert!(
            plain.ends_with("uptime: 7\r\nby_worker:\r\n  pid: 11\r\n  subscribers: 1\r\n  uptime: 7\r\n")
        );
        let yaml = summary(ALL[2], &host(), &totals);
        assert!(
            yaml.starts_with("  hostname: h\r\n") && yaml.contains("  by_worker:\r\n   -\r\n    pid: 11\r\n")
        );
        let xml = summary(Format::Xml, &host(), &totals);
        assert!(xml.contains("  <by_worker><worker>\r\n  <pid>11</pid>\r\n"), "{xml}");
    }

    #[test]
    fn formats() {
        let table = [
            ("text/plain", "text/plain"),
            ("text/xml", "application/xml"),
            ("text/x-json", "text/x-json"),
            ("text/x-yaml", "text/x-yaml"),
            ("application/yaml", "application/yaml"),
            ("text/plain;q=0.1, application/json", "text/plain"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"),
            ("text/html", "application/json"),
            ("", "application/json"),
            ("json", "application/json"),
        ];
        for (accept, kind) in table {
            assert_eq!(Format::accepted(accept).content_type(), kind, "{accept}");
        }
    }
}
