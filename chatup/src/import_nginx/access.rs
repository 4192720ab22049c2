//! Who may come to a location where is published, and with how much: what Nginx asks, and what the worker
//! asks besides.

use std::net::IpAddr;

use crate::config::pushstream::LocationMode;

use super::conditions::{answers, ends_early};
use super::files::level;
use super::parse::Directive;
use super::paths::is_whole;
use super::value;
use super::walk::{Scope, Walk};

/// Longest body that a worker takes by default (`limits.message_bytes_max`), and the most it can be told.
const BODY_BYTES_DEFAULT: u64 = 16 * 1_024;
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Nginx's default for `client_max_body_size`.
const NGINX_BODY_BYTES: u64 = 1 << 20;

/// Who may come to a location.
enum Guard {
    /// This machine only.
    Loopback,
    /// Whom Nginx lets in.
    Nginx,
    /// Whoever comes.
    Nobody,
}

impl<'a> Walk<'a> {
    /// Who may publish and read statistics.
    pub(super) fn guarded(
        &mut self,
        directive: &'a Directive,
        scope: &Scope<'a, '_>,
        lines: &mut Vec<String>,
    ) {
        match guard(scope) {
            Guard::Loopback => {}
            Guard::Nginx => {
                self.notes.guarded.get_or_insert(directive);
            }
            Guard::Nobody => {
                // The first that fits counts: what is meant for everybody would go before these.
                let mut let_in = false;
                for rule in scope.level.iter().copied().filter(|one| matches!(one.name(), "allow" | "deny")) {
                    let everybody = rule.word(1).is_some_and(is_everybody);
                    let_in |= everybody && rule.name() == "allow";
                    if everybody && let_in {
                        self.edits.remove(rule);
                    }
                }
                lines.extend(["allow 127.0.0.1;", "allow ::1;", "deny all;"].map(str::to_owned));
                self.remark(
                    directive,
                    "whoever came here was let in; now this machine only: name others by allow, and set \
                     pushstream.publish_from to \"anyone\" for them",
                );
            }
        }
    }

    /// Bodies that Nginx lets through and the worker does not.
    pub(super) fn bodies(&mut self, mode: LocationMode, directive: &'a Directive, scope: &Scope<'a, '_>) {
        if !is_whole(mode) || mode == LocationMode::Statistics {
            return;
        }
        let said = scope.get("client_max_body_size");
        let size = said.and_then(|said| said.word(1)).and_then(value::bytes).unwrap_or(NGINX_BODY_BYTES);
        // 0 is any size.
        if size == 0 || size > BODY_BYTES_DEFAULT {
            let most = if size == 0 { BODY_BYTES_MAX } else { size.min(BODY_BYTES_MAX) };
            self.remark(
                said.or(self.notes.first).unwrap_or(directive),
                format!(
                    "a worker answers bodies over limits.message_bytes_max ({BODY_BYTES_DEFAULT}) with 413: \
                     set it to {most} if such are published, and limits.log_bytes_max to at least twice as \
                     much"
                ),
            );
        }
    }
}

/// Why a location's channels cannot be put into its path, although they could be written there: something would
/// pass over that, or who may come is decided by the path.
pub(super) fn needs_its_path(scope: &Scope<'_, '_>) -> Option<&'static str> {
    if ends_early(&scope.level) {
        return Some("a break or rewrite of the location would pass over what names them to the worker");
    }
    let in_ifs = |test: fn(&str) -> bool| {
        let mut ifs = scope.level.iter().filter(|one| one.name() == "if");
        ifs.any(|one| level(one.inside()).iter().any(|inner| test(inner.name())))
    };
    if in_ifs(answers) {
        return Some("what answers in an if of the location would see another path");
    }
    if in_ifs(is_asked_script) || scope.any(&|one| is_asked_script(one.name())) {
        return Some("a script, which may decide who may come, would see another path");
    }
    let by_variable = |name: &&str| {
        let said = scope.nearest(&[*name]);
        said.iter().any(|one| one.arguments().any(|word| word.contains('$')))
    };
    if ["auth_basic", "auth_basic_user_file", "auth_jwt", "auth_jwt_key_file"].iter().any(by_variable) {
        return Some("who may come is decided by variables, which may see another path then ($uri)");
    }
    None
}

/// Whether a directive has a script look at each request, or its answer, when its path is the worker's.
fn is_asked_script(name: &str) -> bool {
    const BEGINS: [&str; 4] =
        ["rewrite_by_lua", "access_by_lua", "header_filter_by_lua", "body_filter_by_lua"];
    BEGINS.iter().any(|begin| name.starts_with(begin))
        || matches!(name, "js_access" | "js_header_filter" | "js_body_filter")
}

/// Whether a rule is for all, or for all of one kind of address.
fn is_everybody(rule: &str) -> bool {
    rule == "all" || mask(rule) == Some(0)
}

/// Bits of an address that a rule looks at, if it says so.
fn mask(rule: &str) -> Option<u8> {
    rule.split_once('/')?.1.parse().ok()
}

fn is_loopback(rule: &str) -> bool {
    let address = rule.split('/').next().unwrap_or_default();
    address.parse().is_ok_and(|address: IpAddr| {
        let least = if address.is_ipv4() { 8 } else { 128 };
        address.is_loopback() && (!rule.contains('/') || mask(rule).is_some_and(|bits| bits >= least))
    })
}

/// A client on a Unix socket (`allow unix:`) has no address that the worker would know for this machine's:
/// such a location is Nginx's to guard.
fn guard(scope: &Scope<'_, '_>) -> Guard {
    let rules = scope.nearest(&["allow", "deny"]);
    // The first that fits counts.
    let (mut open, mut denies_rest, mut allowed) = (false, false, Vec::new());
    // Of either kind of address.
    let (mut denies_v4, mut denies_v6) = (false, false);
    for rule in rules {
        let Some(who) = rule.word(1) else { continue };
        match rule.name() {
            "allow" if is_everybody(who) => open = true,
            "allow" => allowed.push(who),
            _ => {
                denies_v4 |= who == "all" || (mask(who) == Some(0) && !who.contains(':'));
                denies_v6 |= who == "all" || (mask(who) == Some(0) && who.contains(':'));
                denies_rest = denies_v4 && denies_v6;
            }
        }
        if open || denies_rest {
            break;
        }
    }
    let any_of_several = scope.get("satisfy").and_then(|said| said.word(1)) == Some("any");
    if denies_rest && allowed.into_iter().all(is_loopback) && !any_of_several {
        return Guard::Loopback;
    }
    let asks = ["auth_basic", "auth_request", "auth_jwt"];
    let asks = asks.iter().any(|name| scope.get(name).is_some_and(|said| said.word(1) != Some("off")));
    let asks = asks && !(any_of_several && open);
    let verifies = scope.get("ssl_verify_client").is_some_and(|said| said.word(1) == Some("on"));
    // limit_except guards some methods, and which is not looked at.
    let limited = scope.own("internal").is_some();
    if denies_rest || asks || verifies || limited { Guard::Nginx } else { Guard::Nobody }
}
