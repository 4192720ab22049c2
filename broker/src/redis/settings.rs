//! Where Redis is and how it is used.

use std::path::PathBuf;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError};

/// How the Redis broker is set up.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where Redis is.
    pub server: Server,
    /// Stands before every key, so that several systems can share a Redis.
    pub key_prefix: String,
    /// Messages a channel keeps, for history and for coming back.
    pub messages_max: usize,
    /// How long a channel without a new message keeps them, in milliseconds.
    pub expire_ms: u64,
    /// Members of a room up to which each coming and going is told; in larger ones only their count.
    pub announced_members_max: u32,
}

/// Who one is to Redis.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The user of its access list; the default one if empty.
    pub username: String,
    /// The password; none if empty.
    pub password: String,
    /// The sentinels' own password; none if empty.
    pub sentinel_password: String,
    /// Certificates (PEM) that the server's must lead to, instead of the system's; none if empty.
    pub ca_file: PathBuf,
}

/// A Redis, in one of its forms.
#[derive(Clone, Debug)]
pub enum Server {
    /// One server, over TCP, TLS or a Unix socket.
    Single(Endpoint),
    /// A group watched by sentinels.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Endpoint>,
        /// The name of the group.
        group: String,
        /// How its servers are reached.
        node: Endpoint,
    },
    /// A cluster, by some of its servers.
    Cluster(Vec<Endpoint>),
}

/// A server's address, with what it takes to be let in.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) info: ConnectionInfo,
    pub(crate) ca_pem: Option<Vec<u8>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the password.
        write!(f, "{}", self.info.addr())
    }
}

/// What is wrong with a Redis URL.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It begins with something else.
    #[error(
        "must begin with redis://, rediss://, redis+unix://, redis+sentinel://, rediss+sentinel://, \
         redis+cluster:// or rediss+cluster://"
    )]
    Scheme,
    /// The sentinels' group is not named.
    #[error(
        "must name the sentinels' group behind the addresses: redis+sentinel://HOST:PORT,HOST:PORT/GROUP"
    )]
    NoGroup,
    /// An address of several that cannot be understood, or the only one.
    #[error("cannot be understood: {0}")]
    Address(String),
    /// A cluster has one database only.
    #[error("may not name a database: a cluster has only one")]
    Database,
    /// The certificates' file.
    #[error("ca_file {0} cannot be read: {1}")]
    CaFile(PathBuf, std::io::Error),
}

impl Server {
    /// Reads a URL. User and password of the credentials go over those of the URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str, credentials: &Credentials) -> Result<Server, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let ca_pem = match credentials.ca_file.as_os_str().is_empty() {
            true => None,
            false => Some(
                std::fs::read(&credentials.ca_file)
                    .map_err(|error| UrlError::CaFile(credentials.ca_file.clone(), error))?,
            ),
        };
        let endpoint = |url: String, username: &str, password: &str| {
            let unclear = |error: RedisError| UrlError::Address(error.to_string());
            let info = url.into_connection_info().map_err(unclear)?;
            let mut redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            if !username.is_empty() {
                redis = redis.set_username(username);
            }
            if !password.is_empty() {
                redis = redis.set_password(password);
            }
            Ok(Endpoint { info: info.set_redis_settings(redis), ca_pem: ca_pem.clone() })
        };
        let node = |url: String| endpoint(url, &credentials.username, &credentials.password);
        // user:password@ stands before the first address and goes for all.
        let (login, rest) =
            rest.split_once('@').map_or((String::new(), rest), |(login, rest)| (format!("{login}@"), rest));
        let (tls, form) = match scheme.split_once('+') {
            Some(("redis", form)) => ("redis", form),
            Some(("rediss", form)) => ("rediss", form),
            None if ["redis", "rediss"].contains(&scheme) => {
                return node(url.to_owned()).map(Server::Single);
            }
            _ => return Err(UrlError::Scheme),
        };
        match form {
            "unix" if tls == "redis" => node(format!("redis+unix://{login}{rest}")).map(Server::Single),
            "sentinel" => {
                let (hosts, group) = rest.split_once('/').ok_or(UrlError::NoGroup)?;
                let (group, query) =
                    group.split_once('?').map_or((group, ""), |(group, query)| (group, query));
                if group.is_empty() {
                    return Err(UrlError::NoGroup);
                }
                let database = query.strip_prefix("db=").unwrap_or("0");
                Ok(Server::Sentinel {
                    sentinels: hosts
                        .split(',')
                        .map(|host| endpoint(format!("{tls}://{host}"), "", &credentials.sentinel_password))
                        .collect::<Result<_, _>>()?,
                    group: group.to_owned(),
                    // The address is what the sentinels say.
                    node: node(format!("{tls}://{login}localhost/{database}"))?,
                })
            }
            "cluster" => {
                let hosts = rest.trim_end_matches('/');
                if hosts.contains('/') {
                    return Err(UrlError::Database);
                }
                let seeds = hosts.split(',').map(|host| node(format!("{tls}://{login}{host}")));
                seeds.collect::<Result<_, _>>().map(Server::Cluster)
            }
            _ => Err(UrlError::Scheme),
        }
    }
}

impl Server {
    /// The number of its database.
    pub(crate) fn database(&self) -> i64 {
        match self {
            Server::Single(node) | Server::Sentinel { node, .. } => node.info.redis_settings().db(),
            Server::Cluster(_) => 0,
        }
    }
}

impl Endpoint {
    /// The same, at another address.
    pub(crate) fn at(&self, (host, port): &(String, u16)) -> Endpoint {
        let mut address = self.info.addr().clone();
        match &mut address {
            ConnectionAddr::Tcp(own_host, own_port) => (*own_host, *own_port) = (host.clone(), *port),
            ConnectionAddr::TcpTls { host: own_host, port: own_port, .. } => {
                (*own_host, *own_port) = (host.clone(), *port);
            }
            _ => {}
        }
        Endpoint { info: self.info.clone().set_addr(address), ca_pem: self.ca_pem.clone() }
    }

    pub(crate) fn host(&self) -> String {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
            _ => String::new(),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |url: &str| match Server::parse(url, &Credentials::default()) {
            Ok(server) => format!("{server:?}"),
            Err(error) => error.to_string(),
        };
        let table = [
            ("redis://localhost:7000/3", "Single(localhost:7000)"),
            ("rediss://user:secret@redis.example", "Single(redis.example:6379)"),
            ("redis+unix:///run/redis.sock?db=1", "Single(/run/redis.sock)"),
            (
                "redis+sentinel://a:1,b:2/main",
                "Sentinel { sentinels: [a:1, b:2], group: \"main\", node: localhost:6379 }",
            ),
            ("redis+cluster://a:7000,b:7001", "Cluster([a:7000, b:7001])"),
        ];
        for (url, expected) in table {
            assert_eq!(read(url), expected, "{url}");
        }
        for (url, said) in [
            ("localhost:6379", "must begin with redis://"),
            ("http://localhost", "must begin with redis://"),
            ("rediss+unix:///x", "must begin with redis://"),
            ("redis+sentinel://a:1,b:2", "must name the sentinels' group"),
            ("redis+cluster://a:7000/1", "may not name a database"),
            ("redis://local host", "cannot be understood"),
            ("redis://host/notanumber", "cannot be understood"),
        ] {
            assert!(read(url).starts_with(said), "{url}: {}", read(url));
        }
        let shown = format!("{:?}", Server::parse("redis://:geheim@h", &Credentials::default()).unwrap());
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
