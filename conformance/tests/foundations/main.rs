//! The judge's foundations, proved against redis-server and against scripted fakes. No rule of the protocol is judged
//! here; only that the judge's own hands do what they are told and that its eyes see what is there.
// The helpers of tests may unwrap as tests do: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod fakes;
mod hostile;
mod processes;
mod proxies;
mod redis;
#[path = "../shared/redis_server.rs"]
mod redis_server;
mod support;
