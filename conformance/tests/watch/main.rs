//! The watcher between real servers: a good pair is never accused, however often its link is cut, and a wrong one is
//! accused of what it does.
// The helpers of tests may unwrap as tests do: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod command_line;
mod faults;
mod long_run;
mod real;
#[path = "../shared/redis_server.rs"]
mod redis_server;
mod support;
