//! Makes a connection that works: finds the server, logs in, says what was found, loads the scripts.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, RedisError, TlsCertificates, TlsMode};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::scripts::Scripts;
use super::settings::{Endpoint, Server};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, REDIS_CONNECT_MS_MAX, REDIS_OUTPUT_BYTES_MIN};

/// The oldest server that has all that is used: `HELLO 3` and XRANGE's exclusive ends.
const OLDEST: (u32, u32) = (6, 2);
/// The oldest with publishing inside a slot.
const SHARDED: (u32, u32) = (7, 0);

/// A connection, and what is at its other end.
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) pushes: UnboundedReceiver<PushInfo>,
    pub(crate) found: Found,
    /// The host under which it was reached.
    pub(crate) host: String,
    /// Which connection it is.
    pub(crate) identity: Identity,
}

/// A connection, as its server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The server, told apart from all others and from what it was before a restart.
    run: String,
    client: i64,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) sharded: bool,
    /// One line on what survives a restart.
    pub(crate) persistence: String,
    /// What an operator should change.
    pub(crate) warnings: Vec<String>,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer within {REDIS_CONNECT_MS_MAX} ms")]
    Late,
    #[error("{0} is too old: version 6.2 or newer is needed")]
    TooOld(String),
    #[error("the server is not one to write to (role {0})")]
    NotPrimary(String),
}

fn certificates(pem: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) }
}

fn client(endpoint: &Endpoint) -> Result<Client, RedisError> {
    match &endpoint.ca_pem {
        Some(pem) if endpoint.is_tls() => Client::build_with_tls(endpoint.info.clone(), certificates(pem)),
        _ => Client::open(endpoint.info.clone()),
    }
}

/// Whom to connect to now.
async fn find(server: &Server) -> Result<(Client, String), RedisError> {
    match server {
        Server::Single(endpoint) => Ok((client(endpoint)?, endpoint.host())),
        // Any will do: it tells of the others.
        Server::Cluster(seeds) => {
            let seed = &seeds[rand::random_range(0..seeds.len())];
            Ok((client(seed)?, seed.host()))
        }
        Server::Sentinel { sentinels, group, node } => {
            let addresses = sentinels.iter().map(|one| one.info.addr().clone());
            let settings = node.info.redis_settings();
            let mut builder = SentinelClientBuilder::new(addresses, group, SentinelServerType::Master)?
                .set_client_to_redis_db(settings.db())
                .set_client_to_redis_protocol(ProtocolVersion::RESP3);
            if let Some(username) = settings.username() {
                builder = builder.set_client_to_redis_username(username);
            }
            if let Some(password) = settings.password() {
                builder = builder.set_client_to_redis_password(password);
            }
            if let Some(password) = sentinels.first().and_then(|one| one.info.redis_settings().password()) {
                builder = builder.set_client_to_sentinel_password(password);
            }
            if node.is_tls() {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure);
                if let Some(pem) = &node.ca_pem {
                    builder = builder
                        .set_client_to_redis_certificates(certificates(pem))
                        .set_client_to_sentinel_certificates(certificates(pem));
                }
            }
            Ok((builder.build()?.async_get_client().await?, String::new()))
        }
    }
}

/// Connects, within a bounded time.
/// `before` is the connection that this one follows: what it still has on the way must not come behind
/// what is asked from now on.
pub(crate) async fn connect(
    server: &Server,
    scripts: &Scripts,
    before: Option<Identity>,
) -> Result<Connected, ConnectError> {
    let whole = async {
        let (client, host) = find(server).await?;
        let (sender, pushes) = unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(sender)
            .set_pipeline_buffer_size(2 * BATCHES_IN_FLIGHT_MAX)
            // Whoever asks watches the time: an answer that comes late must still find its question.
            .set_response_timeout(None)
            .set_connection_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let (found, run) = look(&mut connection).await?;
        let client: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await?;
        if let Some(before) = before.filter(|before| !run.is_empty() && before.run == run) {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(before.client);
            // Gone already is as good, and where that is forbidden it must do without.
            let _: Result<i64, RedisError> = kill.query_async(&mut connection).await;
        }
        let mut load = redis::pipe();
        for cmd in scripts.load() {
            load.add_command(cmd).ignore();
        }
        load.query_async::<()>(&mut connection).await?;
        Ok(Connected { connection, pushes, found, host, identity: Identity { run, client } })
    };
    let patience = Duration::from_millis(REDIS_CONNECT_MS_MAX);
    tokio::time::timeout(patience, whole).await.unwrap_or(Err(ConnectError::Late))
}

/// What a server is, and its run id.
async fn look(connection: &mut MultiplexedConnection) -> Result<(Found, String), ConnectError> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    let mut config: HashMap<String, String> = HashMap::new();
    for name in ["appendfsync", "save", "maxmemory-policy", "client-output-buffer-limit"] {
        // An operator may have forbidden it; then some things cannot be told.
        let some: Result<HashMap<String, String>, _> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
        config.extend(some.unwrap_or_default());
    }
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or("").trim();
    Ok((found(&info, &config)?, run.to_owned()))
}

/// Makes out what a server is from what it says.
fn found(info: &str, config: &HashMap<String, String>) -> Result<Found, ConnectError> {
    let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let field = |name| fields.get(name).copied().unwrap_or("");
    let (product, version) = match field("valkey_version") {
        "" => ("Redis", field("redis_version")),
        version => ("Valkey", version),
    };
    let mode = field(if product == "Valkey" { "server_mode" } else { "redis_mode" });
    let name = format!("{product} {version} ({})", if mode.is_empty() { "standalone" } else { mode });
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if number < OLDEST {
        return Err(ConnectError::TooOld(name));
    }
    // Any server of a cluster tells of the others; whom to write to says the map.
    if !["", "master"].contains(&field("role")) && mode != "cluster" {
        return Err(ConnectError::NotPrimary(field("role").to_owned()));
    }
    let mut warnings = Vec::new();
    let setting = |name: &str| config.get(name).map_or("", String::as_str);
    let (aof, saved) = (field("aof_enabled") == "1", !setting("save").is_empty());
    let persistence = match (aof, setting("appendfsync")) {
        (true, "") => "append-only file".to_owned(),
        (true, how) => format!("append-only file, fsync {how}"),
        (false, _) if saved => "snapshots only".to_owned(),
        (false, _) if config.is_empty() => "no append-only file".to_owned(),
        (false, _) => "none".to_owned(),
    };
    if !aof {
        warnings.push(
            "the append-only file is off (appendonly no): a restart of the server loses acknowledged \
             messages; clients will be told that they cannot recover"
                .to_owned(),
        );
    }
    let policy = setting("maxmemory-policy");
    if !policy.is_empty() && policy != "noeviction" {
        warnings.push(format!(
            "maxmemory-policy is {policy}: when memory is short the server drops rooms' messages, bans and \
             members; noeviction refuses new ones instead"
        ));
    }
    // normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60
    let mut limits =
        setting("client-output-buffer-limit").split(' ').skip_while(|word| *word != "pubsub").skip(1);
    let limit = limits.next().and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
    if limit > 0 && limit < REDIS_OUTPUT_BYTES_MIN {
        warnings.push(format!(
            "client-output-buffer-limit pubsub is {limit} bytes: a worker with much to catch up on may be cut off; \
             {REDIS_OUTPUT_BYTES_MIN} is the default"
        ));
    }
    Ok(Found { name, sharded: number >= SHARDED, persistence, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str, rest: &str, config: &[(&str, &str)]) -> Result<Found, String> {
        let info = format!("# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n{rest}\r\n");
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        found(&info, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_server_is() {
        let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        let settings = [("appendfsync", "everysec"), ("save", ""), ("client-output-buffer-limit", limits)];
        let good = of("7.0.15", "role:master\r\naof_enabled:1", &settings).unwrap();
        let small =
            of("7.0.15", "aof_enabled:1", &[("client-output-buffer-limit", "normal 0 0 0 pubsub 1024 0 0")]);
        assert!(small.unwrap().warnings[0].contains("1024 bytes"));
        assert_eq!((good.name.as_str(), good.sharded), ("Redis 7.0.15 (standalone)", true));
        assert_eq!((good.persistence.as_str(), good.warnings.len()), ("append-only file, fsync everysec", 0));
        let plain = of(
            "6.2.1",
            "role:master\r\naof_enabled:0",
            &[("save", "3600 1"), ("maxmemory-policy", "allkeys-lru")],
        )
        .unwrap();
        assert_eq!((plain.sharded, plain.persistence.as_str()), (false, "snapshots only"));
        assert!(plain.warnings[0].contains("appendonly") && plain.warnings[1].contains("allkeys-lru"));
        let valkey = of("7.2.4", "valkey_version:8.1.0\r\nserver_mode:cluster", &[]).unwrap();
        assert_eq!((valkey.name.as_str(), valkey.sharded), ("Valkey 8.1.0 (cluster)", true));
        assert!(of("6.0.16", "", &[]).unwrap_err().contains("too old"));
        assert!(of("7.0.0", "role:slave", &[]).unwrap_err().contains("slave"));
    }
}
