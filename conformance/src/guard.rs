//! Nobody loses a production database to us: a subject that is not on the loopback, or that holds data, or that
//! follows somebody, is refused unless the user said so in so many words. Called before anything is changed.
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use thiserror::Error;

use crate::control::{Control, ControlError};
use crate::info::Role;

/// What the user has said in so many words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permission {
    /// `--allow-remote`.
    pub remote: bool,
    /// `--allow-data`.
    pub data: bool,
}

impl Permission {
    /// Anything may be, where nothing is changed or somebody has asked before.
    pub const EVERYTHING: Self = Self {
        remote: true,
        data: true,
    };
}

/// Why a subject is not touched.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The address cannot be resolved.
    #[error("{address} is no host:port that can be resolved: {source}")]
    Unresolved {
        /// As written.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// It resolves to nothing.
    #[error("{address} resolves to no address")]
    NoAddress {
        /// As written.
        address: String,
    },
    /// It is another machine.
    #[error(
        "{addr} is not on this machine's loopback; the judge overwrites what it tests, so say --allow-remote if you mean it"
    )]
    Remote {
        /// Where it is.
        addr: SocketAddr,
    },
    /// It holds keys.
    #[error(
        "{addr} holds {keys} keys (database {database} first); the judge would delete them, so say --allow-data if you mean it"
    )]
    HoldsData {
        /// Where it is.
        addr: SocketAddr,
        /// The first database with keys.
        database: u32,
        /// All keys of all databases.
        keys: usize,
    },
    /// It is somebody's replica.
    #[error(
        "{addr} is a replica of {primary}; the judge would detach it, so say --allow-data if you mean it"
    )]
    IsReplica {
        /// Where it is.
        addr: SocketAddr,
        /// Whom it follows.
        primary: String,
    },
    /// It could not be asked.
    #[error("could not find out whether the subject holds data: {0}")]
    Control(#[from] ControlError),
}

/// Resolves `host:port`; every address it may mean must be on the loopback.
pub fn resolve(address: &str, permission: Permission) -> Result<SocketAddr, Refusal> {
    let unresolved = |source| Refusal::Unresolved {
        address: address.to_owned(),
        source,
    };
    let addrs: Vec<SocketAddr> = address.to_socket_addrs().map_err(unresolved)?.collect();
    match addrs.iter().find(|addr| !addr.ip().is_loopback()) {
        Some(&addr) if !permission.remote => Err(Refusal::Remote { addr }),
        _ => addrs.first().copied().ok_or_else(|| Refusal::NoAddress {
            address: address.to_owned(),
        }),
    }
}

/// Refuses a server that holds keys in any database or follows another; only reads.
pub fn check_empty(control: &mut Control, permission: Permission) -> Result<(), Refusal> {
    if permission.data {
        return Ok(());
    }
    let addr = control.peer();
    let sizes = control.sizes()?;
    if let Some(&(database, _)) = sizes.first() {
        let keys = sizes.iter().map(|(_, count)| count).sum();
        return Err(Refusal::HoldsData {
            addr,
            database,
            keys,
        });
    }
    let replication = control.info("replication")?;
    match replication.role().map_err(ControlError::from)? {
        Role::Primary => Ok(()),
        Role::Replica => {
            let part = |field| replication.get(field).unwrap_or("?").to_owned();
            Err(Refusal::IsReplica {
                addr,
                primary: format!("{}:{}", part("master_host"), part("master_port")),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_resolved_without_permission() {
        assert!(resolve("127.0.0.1:1", Permission::default()).is_ok());
        assert!(matches!(
            resolve("192.0.2.1:6379", Permission::default()),
            Err(Refusal::Remote { .. })
        ));
        assert!(
            resolve(
                "192.0.2.1:6379",
                Permission {
                    remote: true,
                    data: false
                }
            )
            .is_ok()
        );
        assert!(matches!(
            resolve("no port", Permission::default()),
            Err(Refusal::Unresolved { .. })
        ));
    }
}
