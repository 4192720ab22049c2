//! The way through the blocks: what stands at which level, what is inherited from outside, and what is said
//! of it. What becomes of the module's directives is decided in `carry` and `globals`.

use crate::config::pushstream::PushStream;

use super::files::level;
use super::parse::{Directive, Unit};
use super::paths::Paths;
use super::site::Edits;
use super::variables::Variables;
use super::{Files, ImportError, Options, Remark, globals};

/// What all of the module's directives begin with.
pub(super) const PREFIX: &str = "push_stream_";

/// A block's directives, and the blocks around it.
pub(super) struct Scope<'a, 'o> {
    pub(super) level: Vec<&'a Directive>,
    pub(super) outer: Option<&'o Scope<'a, 'o>>,
}

impl<'a> Scope<'a, '_> {
    /// The directive of this name in this block.
    pub(super) fn own(&self, name: &str) -> Option<&'a Directive> {
        self.level.iter().rev().find(|directive| directive.name() == name).copied()
    }

    /// The one that counts: the nearest outwards.
    pub(super) fn get(&self, name: &str) -> Option<&'a Directive> {
        self.own(name).or_else(|| self.outer.and_then(|outer| outer.get(name)))
    }

    /// Whether there is such a directive in this block or around it.
    pub(super) fn any(&self, test: &dyn Fn(&Directive) -> bool) -> bool {
        self.level.iter().any(|one| test(one)) || self.outer.is_some_and(|outer| outer.any(test))
    }

    /// One of the module's, by its name without the prefix.
    pub(super) fn module(&self, name: &str) -> Option<&'a Directive> {
        self.get(&format!("{PREFIX}{name}"))
    }

    /// All with one of these names in the nearest block that has any: they are inherited together.
    pub(super) fn nearest(&self, names: &[&str]) -> Vec<&'a Directive> {
        let own: Vec<_> = self.level.iter().filter(|one| names.contains(&one.name())).copied().collect();
        match self.outer {
            Some(outer) if own.is_empty() => outer.nearest(names),
            _ => own,
        }
    }
}

/// What came of it.
pub(super) struct Carried {
    pub(super) settings: PushStream,
    pub(super) origins: Vec<String>,
    pub(super) edits: Edits,
    pub(super) remarks: Vec<Remark>,
}

/// What is gathered on the way.
pub(super) struct Walk<'a> {
    names: &'a [String],
    texts: Vec<&'a str>,
    pub(super) files: &'a mut dyn Files,
    /// What names of upstreams and variables in the site begin with.
    pub(super) prefix: String,
    pub(super) settings: PushStream,
    pub(super) paths: Paths,
    pub(super) edits: Edits,
    remarks: Vec<(usize, usize, String)>,
    /// The first server with something of the module.
    first_server: Option<&'a Directive>,
    /// The first location of a server with something of the module, as the server names it.
    first_location: Option<&'a Directive>,
    /// Whether nothing else in the server proxies: what all locations have in common stands there once.
    pub(super) shared: bool,
    pub(super) notes: globals::Notes<'a>,
    pub(super) variables: Variables,
}

/// Goes through a configuration.
pub(super) fn walk<'a>(
    root: &'a Unit,
    names: &'a [String],
    options: &Options,
    files: &'a mut dyn Files,
) -> Result<Carried, ImportError> {
    let mut texts = vec![""; names.len()];
    gather(root, &mut texts);
    let prefix = (1..).map(|number| match number {
        1 => "chatup_import".to_owned(),
        number => format!("chatup_import{number}"),
    });
    let is_free = |prefix: &String| !texts.iter().any(|text| text.contains(&format!("{prefix}_")));
    let prefix = prefix.into_iter().take(names.len() + 2).find(is_free).unwrap_or_default();
    let top = level(&root.directives);
    let variables = Variables::of(&top, &texts);
    let mut walk = Walk {
        names,
        texts,
        files,
        prefix,
        settings: PushStream::default(),
        paths: Paths::default(),
        edits: Edits::default(),
        remarks: Vec::new(),
        first_server: None,
        first_location: None,
        shared: false,
        notes: globals::Notes::default(),
        variables,
    };
    let http = top.iter().find(|directive| directive.name() == "http" && directive.block.is_some());
    let inside = http.map_or_else(|| top.clone(), |http| level(http.inside()));
    let scope = Scope { level: inside, outer: None };
    walk.strip(&top, if http.is_some() { Context::Main } else { Context::Http })?;
    walk.main(&scope)?;
    walk.blocks(&scope, None)?;
    walk.finish(&scope)?;
    walk.definitions(root, options);
    Ok(walk.carried())
}

/// Whether something here has to do with proxying; `deep`: in the blocks inside, too.
fn proxies(directives: &[&Directive], deep: bool) -> bool {
    directives.iter().any(|directive| {
        directive.name().starts_with("proxy_") || (deep && proxies(&level(directive.inside()), true))
    })
}

fn gather<'a>(unit: &'a Unit, texts: &mut [&'a str]) {
    fn inside<'a>(directives: &'a [Directive], texts: &mut [&'a str]) {
        for directive in directives {
            directive.included.iter().for_each(|unit| gather(unit, texts));
            inside(directive.inside(), texts);
        }
    }
    if let Some(text) = texts.get_mut(unit.number) {
        *text = &unit.text;
    }
    inside(&unit.directives, texts);
}

/// Blocks of values: what stands in them is no directive, whatever it is called.
const VALUES: [&str; 5] = ["map", "geo", "types", "split_clients", "charset_map"];

/// Where a directive stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Main,
    Http,
    Server,
    Location,
    If,
    Other,
}

impl Context {
    fn inside(self, name: &str) -> Context {
        match (self, name) {
            (Context::Main, "http") => Context::Http,
            (Context::Http, "server") => Context::Server,
            (Context::Http | Context::Server | Context::Location, "location") => Context::Location,
            (Context::Location, "if") => Context::If,
            _ => Context::Other,
        }
    }

    /// Whether Nginx lets it stand here.
    fn allows(self, name: &str) -> bool {
        match self {
            Context::Main | Context::Other => false,
            Context::Http => !globals::ROLES.contains(&name),
            Context::Server => !globals::ROLES.contains(&name) && !globals::MAIN.contains(&name),
            Context::Location => !globals::MAIN.contains(&name),
            Context::If => globals::IN_IF.contains(&name),
        }
    }
}

impl<'a> Walk<'a> {
    /// An error at a directive.
    pub(super) fn error(&self, directive: &Directive, what: impl std::fmt::Display) -> ImportError {
        ImportError::new(self.name(directive), directive.line, format!("{}: {what}", directive.name()))
    }

    fn name(&self, directive: &Directive) -> &'a str {
        self.names.get(directive.unit).map_or("", String::as_str)
    }

    /// Where a directive is, for people.
    pub(super) fn place(&self, directive: &Directive) -> String {
        format!("{}:{}", self.name(directive), directive.line)
    }

    /// Says something of a directive.
    pub(super) fn remark(&mut self, directive: &Directive, text: impl Into<String>) {
        self.remarks.push((directive.unit, directive.line, text.into()));
    }

    /// A directive as it is written.
    pub(super) fn written(&self, directive: &Directive) -> &'a str {
        self.between(directive, directive.span.start, directive.span.end)
    }

    /// What is written in a directive's file from here to there.
    pub(super) fn between(&self, directive: &Directive, from: usize, to: usize) -> &'a str {
        self.texts.get(directive.unit).and_then(|text| text.get(from..to)).unwrap_or_default()
    }

    /// The one word behind the name.
    pub(super) fn one<'d>(&self, directive: &'d Directive) -> Result<&'d str, ImportError> {
        match (directive.word(1), directive.word(2)) {
            (Some(word), None) if directive.block.is_none() => Ok(word),
            _ => Err(self.error(directive, "takes one argument")),
        }
    }

    /// Takes out what a stock Nginx does not know, and says what is wrong or lost of it.
    fn strip(&mut self, directives: &[&'a Directive], context: Context) -> Result<(), ImportError> {
        for directive in directives {
            if let Some(name) = directive.name().strip_prefix(PREFIX) {
                if globals::KNOWN.iter().any(|known| known.contains(&name)) && !context.allows(name) {
                    return Err(self.error(directive, "is not allowed here"));
                }
                self.edits.remove(directive);
                self.lost(directive, name)?;
            } else if directive.name() == "load_module"
                && directive.word(1).is_some_and(|path| path.contains("push_stream"))
            {
                self.edits.remove(directive);
                self.remark(directive, "the module is not loaded any more");
            } else if directive.block.is_some() && !VALUES.contains(&directive.name()) {
                self.strip(&level(directive.inside()), context.inside(directive.name()))?;
            }
        }
        Ok(())
    }

    /// Goes through servers and locations; whether one of them was carried over.
    fn blocks(&mut self, scope: &Scope<'a, '_>, server: Option<&'a Directive>) -> Result<bool, ImportError> {
        let mut any = false;
        for directive in &scope.level {
            if directive.block.is_none() || !matches!(directive.name(), "server" | "location") {
                continue;
            }
            let inner = Scope { level: level(directive.inside()), outer: Some(scope) };
            if directive.name() == "server" {
                self.shared = !proxies(&scope.level, false) && !proxies(&inner.level, true);
                self.first_location = None;
                let carried = self.blocks(&inner, Some(directive))?;
                if let (true, true, Some(first)) = (carried, self.shared, self.first_location) {
                    let lines = self.shared_lines();
                    self.edits.before(first, lines);
                }
                self.shared = false;
                any |= carried;
                continue;
            }
            let carried = self.location(directive, &inner)? | self.blocks(&inner, server)?;
            if carried {
                self.first_server = self.first_server.or(server);
                // Of nested ones, the outermost is set last.
                if scope.outer.is_some_and(|outer| outer.outer.is_none()) && !any {
                    self.first_location = Some(*directive);
                }
            }
            any |= carried;
        }
        Ok(any)
    }

    /// The upstream, and what a connection is upgraded to.
    fn definitions(&mut self, root: &Unit, options: &Options) {
        if self.paths.locations.is_empty() {
            return;
        }
        let prefix = &self.prefix;
        let text = format!(
            "# The ChatUp worker that serves what the PushStream module served.\n\
             upstream {prefix}_worker {{\n\
             \tserver {};\n\
             \t# A worker waits 10 s for the next request of a connection.\n\
             \tkeepalive 32;\n\
             \tkeepalive_timeout 5s;\n\
             }}\n\
             # A connection is upgraded to a WebSocket and to nothing else.\n\
             map $http_upgrade ${prefix}_upgrade {{\n\
             \tdefault \"\";\n\
             \t~*^websocket$ websocket;\n\
             }}\n\
             map ${prefix}_upgrade ${prefix}_connection {{\n\
             \tdefault \"\";\n\
             \twebsocket upgrade;\n\
             }}\n",
            options.worker
        );
        let lines = text.lines().map(|line| line.replace('\t', "    ")).chain([String::new()]).collect();
        match self.first_server {
            Some(server) => self.edits.before(server, lines),
            None => {
                self.edits.at_start(root.number, lines);
                if let Some(first) = self.notes.first {
                    self.remark(
                        first,
                        "there is no server around it: the upstream and the maps at the site's beginning \
                         belong into the http block",
                    );
                }
            }
        }
    }

    fn carried(mut self) -> Carried {
        self.remarks.sort_by_key(|(unit, line, _)| (*unit, *line));
        let mut remarks: Vec<Remark> = Vec::new();
        for (unit, line, text) in self.remarks {
            let file = self.names.get(unit).cloned().unwrap_or_default();
            let remark = Remark { file, line, text };
            // A file that is included twice says everything twice.
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
        let mut settings = self.settings;
        settings.enabled = !self.paths.locations.is_empty();
        settings.locations = self.paths.locations;
        Carried { settings, origins: self.paths.origins, edits: self.edits, remarks }
    }
}
