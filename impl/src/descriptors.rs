//! How many connections the system lets us hold open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections of users: listeners, the link, snapshots, what the runtime needs. As many as in Redis.
const RESERVED: u64 = 32;

/// Lets this process open as many files as it may, and says how many clients fit beside everything else; without a limit,
/// nothing.
pub(crate) fn room_for_clients() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // What cannot be raised stays as it was.
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    limit.map(|files| files.saturating_sub(RESERVED).max(1))
}
