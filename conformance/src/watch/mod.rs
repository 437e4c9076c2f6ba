//! The watcher: stands between real replicas and a real primary, passes every byte on unchanged, and says what the
//! protocol does not allow. It judges safety only, by the model's own decisions, for streams of any length and with a
//! memory of fixed size. It drives nobody: what does not happen in front of it, it cannot judge.
//!
//! * [`Judge`] takes bytes and times and returns findings; it owns no socket and no clock.
//! * [`Tap`] owns the sockets; it judges before it passes on.
//! * [`LogWriter`] and [`replay`] keep what passed, and judge it again.
//!
//! **No false accusation.** Of what cannot be seen from here, such as a restart, another way to the same server or a
//! promotion, the watcher assumes whatever makes the rest legal. Where only that saves a step, it is a *doubt*: it is
//! shown, with what would make it legal, and is no violation. Full resynchronizations over two connections are passed
//! on and not judged (`PROTOCOL §2.8`), and neither is a snapshot's content.
mod answers;
mod figures;
mod finding;
mod history;
mod judge;
mod known;
mod link;
mod log;
mod payload;
mod requests;
mod scanner;
mod tap;

pub use figures::{Counts, Figures, SAFETY, WINDOW_MS};
pub use finding::{Finding, From, Place, Rule};
pub use judge::{Judge, Now, Passed, Said};
pub use log::{LogError, LogWriter, replay};
pub use tap::{Tap, TapError, TapOptions};
