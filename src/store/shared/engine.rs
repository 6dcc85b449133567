//! The connection to the engine: the only file that knows the crate `redis`.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError,
};
use tokio::time::timeout;

use super::EngineSettings;
use super::record::VALUE_LENGTH;

/// To connect and to log in.
const CONNECT: Duration = Duration::from_secs(1);

/// For one batch of writes.
pub(super) const WRITE: Duration = Duration::from_secs(2);

/// Why the engine did not do what it was asked to. Never says a password: the engine's own words do not have it, and
/// ours do not either.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// The engine or the network says so.
    #[error("{0}")]
    Said(#[from] RedisError),
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Requests have given up on it, the last of them for this reason.
    #[error("{0}")]
    GivenUp(String),
}

impl EngineError {
    /// Whether nothing more is to be expected of this connection.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Said(error) => error.is_io_error() && !error.is_timeout(),
            Self::Late(_) => false,
            Self::GivenUp(_) => true,
        }
    }
}

/// What to write.
pub(super) enum Write {
    /// A session's value, and how long it is kept.
    Set(String, [u8; VALUE_LENGTH], Duration),
    /// A session that is over.
    Delete(String),
}

/// A connection that many use at once.
pub(super) struct Engine {
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine(…)")
    }
}

impl Engine {
    /// Connects, logs in, and makes sure that an answer comes in the time that requests have.
    ///
    /// # Errors
    /// It cannot be reached, refuses us, or is too slow.
    pub(super) async fn connect(settings: &EngineSettings) -> Result<Self, EngineError> {
        let host = settings.host.clone();
        let address = if settings.tls {
            ConnectionAddr::TcpTls { host, port: settings.port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, settings.port)
        };
        let mut login = RedisConnectionInfo::default().set_db(settings.database).set_skip_set_lib_name();
        if let Some(user) = &settings.user {
            login = login.set_username(user);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.as_str());
        }
        let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
        // Its own limits are off: each use has one of ours.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = within(CONNECT, async { Ok(connecting.await?) }).await?;
        let engine = Self { connection };
        engine.ping(settings.timeout).await?;
        Ok(engine)
    }

    /// Whether it answers in time.
    ///
    /// # Errors
    /// It does not.
    pub(super) async fn ping(&self, limit: Duration) -> Result<(), EngineError> {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        within(limit, async { Ok(ping.query_async(&mut connection).await?) }).await
    }

    /// The values of the keys, in their order. The caller limits the time.
    ///
    /// # Errors
    /// The engine cannot answer.
    pub(super) async fn read(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("MGET").arg(keys).query_async(&mut connection).await?)
    }

    /// Writes all of it, in one go.
    ///
    /// # Errors
    /// The engine cannot take it; some of it may be written.
    pub(super) async fn write(&self, writes: &[Write]) -> Result<(), EngineError> {
        let mut pipeline = redis::pipe();
        for write in writes {
            match write {
                Write::Set(key, value, time_to_live) => {
                    let set = pipeline.cmd("SET").arg(key).arg(value.as_slice());
                    set.arg("EX").arg(time_to_live.as_secs()).ignore();
                }
                Write::Delete(key) => {
                    pipeline.cmd("DEL").arg(key).ignore();
                }
            }
        }
        let mut connection = self.connection.clone();
        within(WRITE, async { Ok(pipeline.query_async(&mut connection).await?) }).await
    }
}

/// What comes in time.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(EngineError::Late(limit)),
    }
}
