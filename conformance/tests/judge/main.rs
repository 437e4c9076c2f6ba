//! The judge is judged: servers that are wrong in exactly one way must fail at the check that names it, good ones must
//! pass, and whoever misuses the program is told so in one sentence.
// The helpers of tests may unwrap as tests do: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod clean;
mod faults;
mod interrupted;
mod lies;
mod misuse;
mod not_judged;
#[path = "../shared/redis_server.rs"]
mod redis_server;
mod reports;
mod stopped;
mod strangers;
mod support;
mod sweep;
mod whole;
