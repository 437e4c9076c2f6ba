//! A checked specification of Redis replication. The question it answers: do the rules of SYNC and PSYNC, as
//! each generation of Redis has them, keep replicas true to their primary, and which single mistake breaks what?
//!
//! **Reading order.** [`world`] and [`link`] name the variables; [`rules`] say what one step may do
//! ([`rules::primary`], [`rules::snapshot`], [`rules::replica`], [`rules::roles`], [`rules::process`],
//! [`rules::environment`]; what they share about the stream is in [`rules::stream`]); [`decision`] holds the choices as
//! functions over numbers; [`rulebook`] says where versions differ; [`property`] and [`history`] say what must hold,
//! and of what; [`fault`] breaks one entry at a time. Then the machinery: [`scope`], [`parts`], [`need`],
//! [`canonical`](world::canonical), [`packed`](world::packed), [`outcome`], [`search`], [`walk`], [`survey`],
//! [`symmetry`], [`graph`], [`liveness`], [`claims`], [`checker`], and [`mutate`], which doubts it all.
//!
//! What people see of it is made by [`narrate`], [`diagram`], [`dot`] and [`itf`]; [`prose`] finds again what
//! stands beside the rules, so that `psync-model explain` need not repeat it. `TABLE.md` leads from each section of
//! the protocol to its rules, the mistakes about it and the properties that catch them.
//!
//! **Units.** A command is two units of the stream, head and tail; a [`ReplOffset`](offset::ReplOffset) counts
//! units so far, a [`NextByte`](offset::NextByte) names the first unit wanted. Backlogs and lags are in commands.
//!
//! **Break it** to get a feeling: `psync-model check --era psync2-v7 --fault request-not-plus-one` shows the
//! shortest way to a replica that is sent a byte twice.
//!
//! **Left out**: what stands in [`world`], each with its reason, and in the rules after the words *Left out*; what can
//! never happen for that reason or another is in [`never::NEVER`].
//!
//! **Results**: states, edges, depth and seconds of every scope in every era stand in [`scope`]; every property
//! holds in all of them that were visited to the end, and L1 on the scopes that [`liveness`] names. The eras as
//! shipped do not hold: `psync-model check --era psync2-v7 --as-shipped` says why. Exhaustive means: every world
//! of the scope, told apart by 64-bit fingerprints. The chance that among n worlds one was missed is about
//! n²/2^65: one in four million for three million worlds.

pub mod advice;
mod bits;
pub mod case;
pub mod casting;
pub mod catch;
pub mod checker;
pub mod claims;
pub mod cover;
pub mod decision;
pub mod diagram;
pub mod dot;
pub mod fault;
pub mod graph;
pub mod history;
pub mod itf;
pub mod link;
pub mod liveness;
pub mod mutate;
pub mod narrate;
pub mod need;
pub mod never;
pub mod offset;
pub mod oracle;
pub mod outcome;
pub mod parts;
pub mod property;
pub mod prose;
pub mod reach;
pub mod rulebook;
pub mod rules;
pub mod scope;
pub mod search;
mod seen;
pub mod situation;
pub mod step;
pub mod suite;
pub mod survey;
pub mod symmetry;
pub mod token;
pub mod walk;
pub mod world;
