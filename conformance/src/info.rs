//! What INFO says, as a map and as the few numbers the judge observes. Field names are the server's own literals
//! (`PROTOCOL §7.1`); offsets count bytes, as INFO does.
use std::collections::BTreeMap;
use std::net::SocketAddr;

use thiserror::Error;

/// The most replicas read out of one INFO: no case has more than a few.
const MAX_REPLICAS: usize = 64;

/// An INFO that lacks a field, or has one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InfoError {
    /// The field is not there.
    #[error("INFO has no field {field}")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// The field is there and makes no sense.
    #[error("INFO field {field} must be {expected}, and {came:?} came")]
    Unreadable {
        /// Its name.
        field: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        came: String,
    },
}

/// All `name:value` lines of one INFO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    fields: BTreeMap<String, String>,
}

/// Which of the two a node says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `role:master`.
    Primary,
    /// `role:slave`.
    Replica,
}

/// One connected replica as its primary reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaLine {
    /// `wait_bgsave`, `send_bulk` or `online`.
    pub state: String,
    /// The highest acknowledgement of this connection.
    pub acknowledged: i64,
    /// The port it announced, or 0.
    pub port: u16,
}

/// The backlog as INFO shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogLine {
    /// Whether there is one.
    pub active: bool,
    /// The number of its first byte, 1 being the first byte ever.
    pub first_byte: i64,
    /// How many bytes it holds.
    pub length: i64,
    /// Its configured size in bytes.
    pub size: i64,
}

/// The link of a replica to its primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLine {
    /// The primary it was told to follow, `host:port`.
    pub primary: String,
    /// `master_link_status:up`.
    pub up: bool,
    /// Whether a full resynchronization is being received.
    pub sync_in_progress: bool,
    /// How much it has applied; 1 when it has neither a primary nor a cached one.
    pub offset: i64,
}

/// The section `replication`, as far as the judge observes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// What the node says it is.
    pub role: Role,
    /// Its link, on a replica.
    pub link: Option<LinkLine>,
    /// Its replicas, in INFO's order.
    pub replicas: Vec<ReplicaLine>,
    /// The replication ID; servers before 4.0 have none here.
    pub id: Option<String>,
    /// The secondary replication ID.
    pub second_id: Option<String>,
    /// How far the secondary ID is valid (a next byte), or -1.
    pub second_limit: Option<i64>,
    /// The replication offset; servers before 2.8 have none.
    pub offset: Option<i64>,
    /// The backlog.
    pub backlog: BacklogLine,
}

impl Info {
    /// Reads the text of an INFO reply; lines that are no field are passed over.
    pub fn parse(text: &str) -> Self {
        let fields = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.trim_end().split_once(':'));
        Self {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// One field as text.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// One field as a number.
    pub fn number(&self, field: &'static str) -> Result<i64, InfoError> {
        let came = self.get(field).ok_or(InfoError::Missing { field })?;
        came.parse().map_err(|_| InfoError::Unreadable {
            field: field.to_owned(),
            expected: "a number",
            came: came.to_owned(),
        })
    }

    /// The typed observation of section `replication`.
    pub fn replication(&self) -> Result<Replication, InfoError> {
        let role = self.role()?;
        Ok(Replication {
            role,
            link: if role == Role::Replica {
                Some(self.link()?)
            } else {
                None
            },
            replicas: self.replicas()?,
            id: self.get("master_replid").map(str::to_owned),
            second_id: self.get("master_replid2").map(str::to_owned),
            second_limit: self.optional("second_repl_offset")?,
            offset: self.optional("master_repl_offset")?,
            backlog: self.backlog()?,
        })
    }

    /// What the node says it is.
    pub fn role(&self) -> Result<Role, InfoError> {
        match self
            .get("role")
            .ok_or(InfoError::Missing { field: "role" })?
        {
            "master" => Ok(Role::Primary),
            "slave" => Ok(Role::Replica),
            other => Err(InfoError::Unreadable {
                field: "role".into(),
                expected: "master or slave",
                came: other.into(),
            }),
        }
    }

    fn optional(&self, field: &'static str) -> Result<Option<i64>, InfoError> {
        if self.get(field).is_some() {
            self.number(field).map(Some)
        } else {
            Ok(None)
        }
    }

    fn link(&self) -> Result<LinkLine, InfoError> {
        Ok(LinkLine {
            primary: format!(
                "{}:{}",
                self.get("master_host").unwrap_or_default(),
                self.get("master_port").unwrap_or_default()
            ),
            up: self.get("master_link_status").ok_or(InfoError::Missing {
                field: "master_link_status",
            })? == "up",
            sync_in_progress: self.optional("master_sync_in_progress")? == Some(1),
            offset: self.optional("slave_repl_offset")?.unwrap_or(-1),
        })
    }

    /// Servers before 2.8 have no backlog and say nothing of one.
    fn backlog(&self) -> Result<BacklogLine, InfoError> {
        let number = |field| Ok(self.optional(field)?.unwrap_or_default());
        Ok(BacklogLine {
            active: number("repl_backlog_active")? == 1,
            first_byte: number("repl_backlog_first_byte_offset")?,
            length: number("repl_backlog_histlen")?,
            size: number("repl_backlog_size")?,
        })
    }

    fn replicas(&self) -> Result<Vec<ReplicaLine>, InfoError> {
        let lines = (0..MAX_REPLICAS)
            .map_while(|place| self.get(&format!("slave{place}")).map(|line| (place, line)));
        lines
            .map(|(place, line)| replica_line(place, line))
            .collect()
    }
}

/// `ip=127.0.0.1,port=6380,state=online,offset=14,lag=0`; before 2.8 `127.0.0.1,6380,online`.
fn replica_line(place: usize, line: &str) -> Result<ReplicaLine, InfoError> {
    let named: BTreeMap<&str, &str> = line
        .split(',')
        .filter_map(|part| part.split_once('='))
        .collect();
    let bare: Vec<&str> = line.split(',').collect();
    let (port, state, offset) = match bare[..] {
        [_, port, state] if named.is_empty() => (Some(port), Some(state), Some("0")),
        _ => (
            named.get("port").copied(),
            named.get("state").copied(),
            named.get("offset").copied(),
        ),
    };
    let read = || {
        Some(ReplicaLine {
            state: state?.to_owned(),
            acknowledged: offset?.parse().ok()?,
            port: port?.parse().ok()?,
        })
    };
    read().ok_or_else(|| InfoError::Unreadable {
        field: format!("slave{place}"),
        expected: "ip=…,port=…,state=…,offset=…",
        came: line.to_owned(),
    })
}

impl Replication {
    /// Where the node listens that a replica was told to follow, when that is an address in numbers.
    pub fn primary_addr(&self) -> Option<SocketAddr> {
        self.link
            .as_ref()
            .and_then(|link| link.primary.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\
        slave0:ip=127.0.0.1,port=7001,state=online,offset=14,lag=0\r\nmaster_replid:aa\r\nmaster_replid2:00\r\n\
        master_repl_offset:28\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_size:16384\r\n\
        repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:28\r\n";

    #[test]
    fn section_of_a_primary_is_read() {
        let seen = Info::parse(PRIMARY).replication().unwrap();
        assert_eq!(
            (seen.role, seen.offset, seen.id.as_deref()),
            (Role::Primary, Some(28), Some("aa"))
        );
        assert_eq!(
            seen.replicas,
            [ReplicaLine {
                state: "online".into(),
                acknowledged: 14,
                port: 7001
            }]
        );
        assert_eq!(
            seen.backlog,
            BacklogLine {
                active: true,
                first_byte: 1,
                length: 28,
                size: 16384
            }
        );
        assert_eq!((seen.link, seen.second_limit), (None, Some(-1)));
    }

    #[test]
    fn missing_and_unreadable_fields_are_named() {
        let text = PRIMARY.replace("master_repl_offset:28", "master_repl_offset:many");
        let error = InfoError::Unreadable {
            field: "master_repl_offset".into(),
            expected: "a number",
            came: "many".into(),
        };
        assert_eq!(Info::parse(&text).replication(), Err(error));
        assert_eq!(
            Info::parse("").replication(),
            Err(InfoError::Missing { field: "role" })
        );
    }
}
