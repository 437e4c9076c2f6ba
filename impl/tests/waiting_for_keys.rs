//! Commands that wait for keys, and connections that watch keys: who is woken, in which order, and what the stream says.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::rulebook::Era;
use simulation::World;

fn pair() -> World {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(0, "DEL x");
    world
}

#[test]
fn the_first_to_wait_is_served_first_and_the_replica_pops_too() {
    let mut world = pair();
    let (one, other) = (world.connect(0), world.connect(0));
    assert_eq!(world.say(0, one, "BLPOP none list 0\r\n"), "");
    assert_eq!(world.say(0, other, "BRPOP list 0\r\nPING\r\n"), "");
    assert_eq!(world.info(0, "blocked_clients"), "2");
    assert_eq!(world.command(0, "RPUSH list a b c"), ":3\r\n");
    assert_eq!(world.heard(0, one), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
    assert_eq!(
        world.heard(0, other),
        "*2\r\n$4\r\nlist\r\n$1\r\nc\r\n+PONG\r\n"
    );
    assert_eq!(world.command(1, "LRANGE list 0 -1"), "*1\r\n$1\r\nb\r\n");
    assert_eq!(
        world.info(0, "master_repl_offset"),
        world.info(1, "slave_repl_offset")
    );
}

#[test]
fn what_a_woken_command_moves_wakes_the_next() {
    let mut world = pair();
    let (one, other) = (world.connect(0), world.connect(0));
    world.say(0, one, "BLMOVE a b LEFT RIGHT 0\r\n");
    world.say(0, other, "BZMPOP 0 1 scores MIN\r\n");
    let third = world.connect(0);
    world.say(0, third, "BRPOPLPUSH b c 0\r\n");
    world.command(0, "RPUSH a v");
    assert_eq!(world.heard(0, one), "$1\r\nv\r\n");
    assert_eq!(world.heard(0, third), "$1\r\nv\r\n");
    assert_eq!(world.heard(0, other), "", "nobody has added to its key");
    assert_eq!(world.command(1, "LRANGE c 0 -1"), "*1\r\n$1\r\nv\r\n");
}

#[test]
fn a_value_of_another_type_wakes_nobody() {
    let mut world = pair();
    let client = world.connect(0);
    world.say(0, client, "BLPOP key 0\r\n");
    world.command(0, "ZADD key 1 m");
    assert_eq!(world.heard(0, client), "");
    world.command(0, "DEL key");
    world.command(0, "RPUSH key v");
    assert_eq!(world.heard(0, client), "*2\r\n$3\r\nkey\r\n$1\r\nv\r\n");
}

#[test]
fn inside_a_transaction_nothing_waits_and_nobody_is_woken_before_its_end() {
    let mut world = pair();
    let (waiting, client) = (world.connect(0), world.connect(0));
    world.say(0, waiting, "BLPOP list 0\r\n");
    let replies = world.say(
        0,
        client,
        "MULTI\r\nBLPOP none 0\r\nRPUSH list gone\r\nDEL list\r\nRPUSH list kept\r\nEXEC\r\n",
    );
    assert!(
        replies.ends_with("*4\r\n*-1\r\n:1\r\n:1\r\n:1\r\n"),
        "{replies}"
    );
    assert_eq!(
        world.heard(0, waiting),
        "*2\r\n$4\r\nlist\r\n$4\r\nkept\r\n"
    );
    assert_eq!(world.command(1, "EXISTS list"), ":0\r\n");
}

#[test]
fn a_wait_ends_with_its_time_its_role_or_on_request() {
    let mut world = pair();
    let (timed, asked, demoted) = (world.connect(0), world.connect(0), world.connect(0));
    world.say(0, timed, "BLPOP list 0.2\r\n");
    let id = world.say(0, asked, "CLIENT ID\r\nBLPOP list 0\r\n");
    let id = id.trim_start_matches(':').trim_end().to_owned();
    world.say(0, demoted, "BLPOP list 0\r\n");
    world.pass(400);
    assert_eq!(world.heard(0, timed), "*-1\r\n");
    assert_eq!(
        world.command(0, &format!("CLIENT UNBLOCK {id} ERROR")),
        ":1\r\n"
    );
    assert!(world.heard(0, asked).starts_with("-UNBLOCKED"));
    assert_eq!(world.command(0, &format!("CLIENT UNBLOCK {id}")), ":0\r\n");
    world.command(0, "REPLICAOF 127.0.0.1 1");
    assert!(world.heard(0, demoted).starts_with("-UNBLOCKED"));
    assert!(world.is_closed(0, demoted));
}

#[test]
fn a_watched_key_that_changes_makes_exec_fail() {
    for (change, fails) in [
        ("SET w 2", true),
        ("SET w 1", true),
        ("EXPIRE w 100", true),
        ("DEL w", true),
        ("FLUSHALL", true),
        ("SWAPDB 0 5", true),
        ("APPEND other x", false),
        ("SREM set absent", false),
        ("GET w", false),
    ] {
        let mut world = pair();
        world.command(0, "SET w 1");
        world.command(0, "SADD set member");
        let client = world.connect(0);
        world.say(0, client, "WATCH w set\r\nMULTI\r\nSET done 1\r\n");
        world.command(0, change);
        let reply = world.say(0, client, "EXEC\r\n");
        let expected = if fails { "*-1\r\n" } else { "*1\r\n+OK\r\n" };
        assert_eq!(reply, expected, "{change}");
        // What was watched is forgotten after one transaction.
        let again = world.say(0, client, "MULTI\r\nPING\r\nEXEC\r\n");
        assert!(again.ends_with("*1\r\n+PONG\r\n"), "{again}");
    }
}

#[test]
fn watching_ends_with_unwatch_and_begins_outside_transactions_only() {
    let mut world = pair();
    let client = world.connect(0);
    world.say(0, client, "WATCH w\r\nUNWATCH\r\n");
    world.command(0, "SET w 2");
    let reply = world.say(0, client, "MULTI\r\nWATCH w\r\nPING\r\nEXEC\r\n");
    assert_eq!(
        reply,
        "+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n+PONG\r\n"
    );
}

#[test]
fn a_connection_that_is_reset_watches_nothing() {
    let mut world = pair();
    let client = world.connect(0);
    world.say(0, client, "WATCH w\r\nRESET\r\n");
    world.command(0, "SET w 2");
    let reply = world.say(0, client, "MULTI\r\nPING\r\nEXEC\r\n");
    assert_eq!(reply, "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n");
}

#[test]
fn an_exec_that_is_refused_ends_its_transaction() {
    let mut world = pair();
    let client = world.connect(0);
    let reply = world.say(0, client, "MULTI\r\nSET x 1\r\nEXEC now\r\nEXEC\r\n");
    assert_eq!(
        reply,
        "+OK\r\n+QUEUED\r\n\
         -EXECABORT Transaction discarded because of: ERR wrong number of arguments for 'exec' command\r\n\
         -ERR EXEC without MULTI\r\n"
    );
    assert_eq!(world.command(0, "EXISTS x"), ":0\r\n");
}
