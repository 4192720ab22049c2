//! Who may come to a location where is published, and with how much: what Nginx asks, and what the worker
//! asks besides.

use crate::config::pushstream::LocationMode;

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
    fn ends(directives: &[Directive]) -> bool {
        let ends = |one: &Directive| {
            matches!(one.name(), "break" | "rewrite") || one.name() == "if" && ends(one.inside())
        };
        directives.iter().any(ends)
    }
    if scope.level.iter().any(|one| ends(std::slice::from_ref(*one))) {
        return Some("a break or rewrite of the location would pass over what names them to the worker");
    }
    let by_variable = |name: &&str| {
        let said = scope.nearest(&[*name]);
        said.iter().any(|one| one.arguments().any(|word| word.contains('$')))
    };
    if ["auth_basic", "auth_basic_user_file"].iter().any(by_variable)
        || ["access_by_lua", "access_by_lua_block", "access_by_lua_file", "js_access"]
            .iter()
            .any(|name| scope.get(name).is_some())
    {
        return Some("who may come is decided by variables, which may see another path then ($uri)");
    }
    None
}

fn guard(scope: &Scope<'_, '_>) -> Guard {
    let rules = scope.nearest(&["allow", "deny"]);
    let denies_rest = rules.iter().any(|rule| rule.name() == "deny" && rule.word(1) == Some("all"));
    let is_loopback = |address: &str| {
        let address = address.split('/').next().unwrap_or_default();
        address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()) || address == "unix:"
    };
    let mut allowed = rules.iter().filter(|rule| rule.name() == "allow");
    let any_of_several = scope.get("satisfy").and_then(|said| said.word(1)) == Some("any");
    if denies_rest && allowed.all(|rule| rule.word(1).is_some_and(is_loopback)) && !any_of_several {
        return Guard::Loopback;
    }
    let asks = ["auth_basic", "auth_request", "auth_jwt"];
    let asks = asks.iter().any(|name| scope.get(name).is_some_and(|said| said.word(1) != Some("off")));
    let verifies = scope.get("ssl_verify_client").is_some_and(|said| said.word(1) == Some("on"));
    // limit_except guards some methods, and which is not looked at.
    let limited = scope.own("internal").is_some();
    if denies_rest || asks || verifies || limited { Guard::Nginx } else { Guard::Nobody }
}
