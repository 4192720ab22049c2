//! What a token must be besides signed: the operator's choices.

/// What a token must be besides signed.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How far the clocks of those who sign may be off, in seconds: `exp` holds that much longer,
    /// `nbf` that much earlier.
    pub leeway_s: u64,
    /// Whether a user's token needs an `exp`. ChatUp's tokens have none. Administrators' tokens
    /// need one in any case.
    pub require_expiry: bool,
    /// Who must be among a user's token's `aud`; nobody in particular if `None`.
    pub audience: Option<String>,
    /// Who must be among the `aud` of a token for `/post` and `/ban`, and never is in a user's:
    /// this is what tells the two apart.
    pub admin_audience: String,
    /// Whether `/post` and `/ban` take ChatUp's bare arrays too. They never expire, name no
    /// audience and can be sent again: whoever sees one can repeat it.
    pub accept_array_tokens: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            leeway_s: 5,
            require_expiry: true,
            audience: None,
            admin_audience: "chatup-admin".into(),
            accept_array_tokens: false,
        }
    }
}
