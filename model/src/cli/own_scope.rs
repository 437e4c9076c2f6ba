//! A scope of one's own: a named one with some of its fields set otherwise.

use anyhow::ensure;
use psync_model::scope::{NamedScope, Scope};
use psync_model::token::MAX_TOKENS;
use psync_model::world::Topology;

/// The longest lag that worlds have room for: in between, a step may add a command and a foreign byte.
const MOST_LAG: usize = MAX_TOKENS - 2;

/// The fields to set otherwise, each as an option of its name.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "A scope of your own, on top of the named one")]
pub(crate) struct Changes {
    /// How many nodes there are, and who follows whom at the beginning
    #[arg(long, value_enum)]
    topology: Option<Topology>,
    /// The size of the backlog, in commands
    #[arg(long, value_name = "COMMANDS")]
    backlog: Option<usize>,
    /// The longest stretch of history that anything may still refer to; more than the backlog
    #[arg(long, value_name = "COMMANDS")]
    lag: Option<usize>,
    /// Primaries send PINGs
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    pings: Option<bool>,
    /// A replica may read a write in two parts
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    halves: Option<bool>,
    /// Snapshots may be sent directly
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    sockets: Option<bool>,
    /// Snapshots may fail
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    failures: Option<bool>,
    /// Snapshots that are sent directly may fail too
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    socket_failures: Option<bool>,
    /// Processes die and start again
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    restarts: Option<bool>,
    /// Operators save snapshots
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    saves: Option<bool>,
    /// The backlog expires
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    expiry: Option<bool>,
    /// A primary may believe in an older connection beside the newer one
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    stale: Option<bool>,
    /// A lost connection is noticed at both ends before anything else happens
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    prompt: Option<bool>,
    /// A stranger asks questions
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    stranger: Option<bool>,
    /// Replicas acknowledge
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    acknowledgements: Option<bool>,
    /// Replicas are promoted, primaries demoted
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    roles: Option<bool>,
    /// Processes start again in another role
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    role_restarts: Option<bool>,
    /// Requests are answered with errors
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    errors: Option<bool>,
    /// Snapshots turn out to be broken after the old data are gone
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    load_failures: Option<bool>,
    /// The backlog is resized
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    resizes: Option<bool>,
    /// Clients use two databases
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    databases: Option<bool>,
    /// Clients use transactions
    #[arg(long, value_name = SWITCH, value_parser = switch)]
    transactions: Option<bool>,
}

const SWITCH: &str = "on|off";

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("a switch is `on` or `off`".to_owned()),
    }
}

/// A scope with a name that says what is different.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// `smoke`, or `smoke, lag 3, pings on`.
    pub(crate) name: String,
    /// The scope.
    pub(crate) scope: Scope,
}

impl Changes {
    /// A named scope with these changes.
    pub(crate) fn on(&self, named: &NamedScope) -> anyhow::Result<Chosen> {
        self.on_scope(named.name, named.scope)
    }

    /// A scope that is called so, with these changes.
    pub(crate) fn on_scope(&self, name: &str, mut scope: Scope) -> anyhow::Result<Chosen> {
        let mut name = name.to_owned();
        let mut say = |words: String| name = format!("{name}, {words}");
        if let Some(topology) = self.topology.filter(|&other| other != scope.topology) {
            scope.topology = topology;
            say(format!("topology {}", topology_name(topology)));
        }
        let counts = [
            ("backlog", self.backlog, &mut scope.backlog_commands),
            ("lag", self.lag, &mut scope.lag_commands),
        ];
        for (word, wanted, field) in counts {
            if let Some(wanted) = wanted.filter(|wanted| wanted != field) {
                *field = wanted;
                say(format!("{word} {wanted}"));
            }
        }
        for (word, wanted, field) in self.switches(&mut scope) {
            if let Some(wanted) = wanted.filter(|wanted| wanted != field) {
                *field = wanted;
                say(format!("{word} {}", if wanted { "on" } else { "off" }));
            }
        }
        let (backlog, lag) = (scope.backlog_commands, scope.lag_commands);
        ensure!(
            backlog > 0,
            "a backlog holds at least one command: --backlog 1"
        );
        ensure!(
            lag > backlog,
            "with a backlog of {backlog} and a lag of {lag} nothing can ever be too old: --lag {} or more",
            backlog + 1
        );
        ensure!(
            lag <= MOST_LAG,
            "a world has room for histories of {MOST_LAG} commands, and --lag is {lag}"
        );
        Ok(Chosen { name, scope })
    }

    /// Every switch with the field it sets.
    fn switches<'a>(
        &self,
        scope: &'a mut Scope,
    ) -> [(&'static str, Option<bool>, &'a mut bool); 19] {
        [
            ("pings", self.pings, &mut scope.pings),
            ("halves", self.halves, &mut scope.halves),
            ("sockets", self.sockets, &mut scope.sockets),
            ("failures", self.failures, &mut scope.failures),
            (
                "socket-failures",
                self.socket_failures,
                &mut scope.socket_failures,
            ),
            ("restarts", self.restarts, &mut scope.restarts),
            ("saves", self.saves, &mut scope.saves),
            ("expiry", self.expiry, &mut scope.expiry),
            ("stale", self.stale, &mut scope.stale),
            ("prompt", self.prompt, &mut scope.prompt),
            ("stranger", self.stranger, &mut scope.stranger),
            (
                "acknowledgements",
                self.acknowledgements,
                &mut scope.acknowledgements,
            ),
            ("roles", self.roles, &mut scope.roles),
            (
                "role-restarts",
                self.role_restarts,
                &mut scope.role_restarts,
            ),
            ("errors", self.errors, &mut scope.errors),
            (
                "load-failures",
                self.load_failures,
                &mut scope.load_failures,
            ),
            ("resizes", self.resizes, &mut scope.resizes),
            ("databases", self.databases, &mut scope.databases),
            ("transactions", self.transactions, &mut scope.transactions),
        ]
    }
}

fn topology_name(topology: Topology) -> String {
    use clap::ValueEnum;
    let value = topology.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};
    use psync_model::scope;

    fn smoke() -> &'static NamedScope {
        scope::named("smoke").unwrap()
    }

    #[test]
    fn every_field_of_a_scope_has_an_option() {
        let command = Changes::augment_args(Command::new("test"));
        let mut options: Vec<_> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .collect();
        let fields = serde_json::to_value(smoke().scope).unwrap();
        let mut wanted: Vec<_> = fields
            .as_object()
            .unwrap()
            .keys()
            .map(|field| field.trim_end_matches("_commands").replace('_', "-"))
            .collect();
        options.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(options, wanted);
    }

    #[test]
    fn only_what_differs_is_in_the_name() {
        let changes = Changes {
            lag: Some(3),
            pings: Some(true),
            halves: Some(true),
            topology: Some(Topology::Chain),
            ..Changes::default()
        };
        let chosen = changes.on(smoke()).unwrap();
        assert_eq!(chosen.name, "smoke, topology chain, lag 3, pings on");
        assert!(chosen.scope.pings && chosen.scope.lag_commands == 3);
    }

    #[test]
    fn a_scope_in_which_nothing_is_too_old_or_too_long_is_refused() {
        for (backlog, lag) in [(0, 2), (2, 2), (1, MAX_TOKENS)] {
            let changes = Changes {
                backlog: Some(backlog),
                lag: Some(lag),
                ..Changes::default()
            };
            assert!(changes.on(smoke()).is_err(), "{backlog} {lag}");
        }
    }
}
