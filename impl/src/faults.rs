//! The faults: each a rulebook with exactly one entry wrong, so that a judge of servers can be judged.
//!
//! They exist for `--fault NAME` in a build with the cargo feature `faults`; a server without it refuses the option.
//! The specification has the same faults under the same names, every one of them a fault that a server can have.

use crate::rulebook::{
    Accumulation, AcknowledgeAfterContinue, Acknowledgement, Adoption, Attach, BacklogBirth,
    BacklogContent, CacheAtFullLine, ContinueBacklog, ContinueId, Demotion, Discard, Era, Expiry,
    FirstStream, FullLine, FullLoad, HalfInput, IdCheck, LinkLoss, LowerBound, OffsetAtContinue,
    OpenTransaction, PromotedBacklog, Promotion, Renaming, RequestByte, RoleNumbering, Rulebook,
    SavedLabel, SavedOffset, SecondaryLimit, SelectAfterPromotion, SelectAfterSync,
    SnapshotDatabase, StreamWriting, SyncFallback, TransactionEnd, TransientError, UpperBound,
};

/// One way of being wrong.
pub struct Fault {
    /// What `--fault` calls it.
    pub name: &'static str,
    /// What the server does wrong, in one sentence, with the flaw it stands for where there is one.
    pub sentence: &'static str,
    /// The eras in which it can be told from the right server.
    pub eras: &'static [Era],
    /// Spoils the one entry.
    spoil: fn(&mut Rulebook),
}

/// Why a fault cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("`{given}` is no fault; `--help` lists them")]
    Unknown {
        /// What was written instead.
        given: String,
    },
    /// The era has no such rule to break.
    #[error("the fault `{name}` changes nothing in the era `{era}`")]
    WithoutEffect {
        /// The fault.
        name: &'static str,
        /// The era asked for.
        era: Era,
    },
}

const ALL: &[Era] = &Era::ALL;
const WITH_OFFSETS: &[Era] = &[Era::Psync, Era::Psync2, Era::Psync2V7];
const WITHOUT_IDS: &[Era] = &[Era::Sync, Era::Psync];
const WITH_IDS: &[Era] = &[Era::Psync2, Era::Psync2V7];

/// All faults: those of a primary first, then those of a replica, then those that show when roles change or in a
/// chain, last those of databases, transactions and names.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "backlog-upper-bound-exclusive",
        sentence: "A replica that has every byte is refused (FLAWS B-16).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.upper_bound = UpperBound::Exclusive,
    },
    Fault {
        name: "backlog-upper-bound-by-size",
        sentence: "The end of the window is taken from the configured size, not from the bytes held (FLAWS B-17).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.upper_bound = UpperBound::BySize,
    },
    Fault {
        name: "backlog-upper-bound-one-beyond",
        sentence: "A request for one byte beyond the next is continued.",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.upper_bound = UpperBound::OneBeyond,
    },
    Fault {
        name: "backlog-lower-bound-ignored",
        sentence: "A request for bytes already trimmed is served from the oldest byte held.",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.lower_bound = LowerBound::Ignored,
    },
    Fault {
        name: "replication-id-not-checked",
        sentence: "Any history is continued if the number fits (FLAWS B-12).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.id_check = IdCheck::Ignored,
    },
    Fault {
        name: "secondary-limit-one-short",
        sentence: "The secondary ID is honoured up to the offset of the shift instead of the byte after it.",
        eras: WITH_IDS,
        spoil: |rules| rules.secondary_limit = SecondaryLimit::OneShort,
    },
    Fault {
        name: "secondary-limit-ignored",
        sentence: "The secondary ID is honoured beyond the point where the histories part.",
        eras: WITH_IDS,
        spoil: |rules| rules.secondary_limit = SecondaryLimit::Ignored,
    },
    Fault {
        name: "label-at-request",
        sentence: "The full resynchronization is labelled when PSYNC arrives, not at the cut (FLAWS B-02).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.full_line = FullLine::AtRequest,
    },
    Fault {
        name: "full-resync-offset-one-more",
        sentence: "The announced offset is one more than that of the cut.",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.full_line = FullLine::OneMore,
    },
    Fault {
        name: "attach-label-current",
        sentence: "A replica attached to a running snapshot is told the offset of now (FLAWS B-02).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.attach = Attach::CurrentLabel,
    },
    Fault {
        name: "attach-loses-pending",
        sentence: "A replica attached to a running snapshot does not get what was accumulated since the cut (FLAWS B-20).",
        eras: ALL,
        spoil: |rules| rules.attach = Attach::LosesPending,
    },
    Fault {
        name: "accumulation-starts-late",
        sentence: "Commands written while the snapshot is made are not kept for the waiting replica.",
        eras: ALL,
        spoil: |rules| rules.accumulation = Accumulation::FromEnd,
    },
    Fault {
        name: "expired-backlog-keeps-id",
        sentence: "The backlog expires, uncounted writes follow, and the ID stays (FLAWS B-03).",
        eras: WITH_IDS,
        spoil: |rules| {
            rules.expiry = Expiry::KeepsId;
            rules.backlog_birth = BacklogBirth::SkipsNothing;
        },
    },
    Fault {
        name: "backlog-birth-skips-no-byte",
        sentence: "A new backlog begins where the old one ended, although writes went uncounted between them.",
        eras: &[Era::Psync],
        spoil: |rules| rules.backlog_birth = BacklogBirth::SkipsNothing,
    },
    Fault {
        name: "primary-adopts-saved-id",
        sentence: "A restarted primary goes on under the ID and offset of its snapshot file (FLAWS B-04).",
        eras: WITH_IDS,
        spoil: |rules| rules.saved_label = SavedLabel::Adopted,
    },
    Fault {
        name: "backlog-differs-from-stream",
        sentence: "One byte of each command differs in the backlog (FLAWS B-18).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.backlog_content = BacklogContent::Differs,
    },
    Fault {
        name: "stream-before-first-acknowledgement",
        sentence: "The stream is glued behind the end mark of the snapshot (FLAWS B-21).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.first_stream = FirstStream::AtOnce,
    },
    Fault {
        name: "last-command-withheld",
        sentence: "The newest command is sent only when the next one comes (FLAWS B-39).",
        eras: ALL,
        spoil: |rules| rules.stream_writing = StreamWriting::WithholdsLast,
    },
    Fault {
        name: "uncounted-byte-in-stream",
        sentence: "One newline that is not counted stands before the first command on each link (FLAWS B-11).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.stream_writing = StreamWriting::StrayNewline,
    },
    Fault {
        name: "request-not-plus-one",
        sentence: "A replica asks for the last byte it has instead of the next.",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.request_byte = RequestByte::Last,
    },
    Fault {
        name: "half-command-counted",
        sentence: "Half a command is thrown away with the link and still counted in the next request.",
        eras: WITH_IDS,
        spoil: |rules| rules.half_input = HalfInput::DroppedAndCounted,
    },
    Fault {
        name: "label-adopted-before-load",
        sentence: "A replica takes over the announced label before it has the data.",
        eras: WITH_OFFSETS,
        spoil: |rules| {
            rules.adoption = Adoption::AtLine;
            rules.cache_at_full_line = CacheAtFullLine::Kept;
        },
    },
    Fault {
        name: "data-discarded-before-snapshot",
        sentence: "A replica empties itself at the announcement and keeps calling itself by the old label.",
        eras: WITH_OFFSETS,
        spoil: |rules| {
            rules.discard = Discard::AtLine;
            rules.cache_at_full_line = CacheAtFullLine::Kept;
        },
    },
    Fault {
        name: "restart-label-too-new",
        sentence: "A snapshot file is labelled one command later than its data (FLAWS B-10).",
        eras: WITH_IDS,
        spoil: |rules| rules.saved_offset = SavedOffset::OneCommandMore,
    },
    Fault {
        name: "continue-id-not-adopted",
        sentence: "A replica told a new name of its history keeps the old one (PROTOCOL §6 X6).",
        eras: WITH_IDS,
        spoil: |rules| rules.continue_id = ContinueId::Ignored,
    },
    Fault {
        name: "cached-primary-lost",
        sentence: "A replica forgets its label with its link (FLAWS B-28).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.link_loss = LinkLoss::Forgotten,
    },
    Fault {
        name: "no-acknowledgement-after-continue",
        sentence: "A replica that was continued never acknowledges (FLAWS B-31).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.acknowledge_after_continue = AcknowledgeAfterContinue::No,
    },
    Fault {
        name: "offset-reset-on-continue",
        sentence: "A replica that was continued counts from zero (FLAWS B-25).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.offset_at_continue = OffsetAtContinue::Reset,
    },
    Fault {
        name: "label-lost-on-passing-error",
        sentence: "A replica whose primary cannot answer now asks for everything later (FLAWS B-24).",
        eras: WITH_IDS,
        spoil: |rules| rules.transient_error = TransientError::ForgetsLabel,
    },
    Fault {
        name: "acknowledges-unapplied",
        sentence: "A replica acknowledges half a command (FLAWS F-15).",
        eras: WITH_IDS,
        spoil: |rules| rules.acknowledgement = Acknowledgement::Read,
    },
    Fault {
        name: "sync-fallback-keeps-id",
        sentence: "A snapshot that came by SYNC is called by the last announced ID and counted from -1 (FLAWS B-01).",
        eras: WITH_OFFSETS,
        spoil: |rules| rules.sync_fallback = SyncFallback::KeepsStaleId,
    },
    Fault {
        name: "same-id-after-promotion",
        sentence: "A promoted node goes on under the ID it shares with its former primary (FLAWS B-12).",
        eras: WITH_IDS,
        spoil: |rules| rules.promotion = Promotion::KeepsId,
    },
    Fault {
        name: "former-id-forgotten-at-promotion",
        sentence: "A promoted node has a fresh ID and no secondary one (FLAWS F-13).",
        eras: WITH_IDS,
        spoil: |rules| rules.promotion = Promotion::ForgetsFormerId,
    },
    Fault {
        name: "promotion-frees-backlog",
        sentence: "A promoted node gives up its backlog at once (FLAWS B-15).",
        eras: WITH_IDS,
        spoil: |rules| rules.promoted_backlog = PromotedBacklog::Freed,
    },
    Fault {
        name: "demotion-loses-offset",
        sentence: "A node that is told to follow another counts from zero (FLAWS B-25).",
        eras: WITH_IDS,
        spoil: |rules| rules.demotion = Demotion::KeepsLabelLosesOffset,
    },
    Fault {
        name: "full-load-keeps-replicas",
        sentence: "A node whose data are replaced keeps its own replicas and its backlog (FLAWS B-06).",
        eras: WITH_IDS,
        spoil: |rules| rules.full_load = FullLoad::KeepsReplicas,
    },
    Fault {
        name: "no-backlog-after-continue",
        sentence: "A restarted replica that is continued has no backlog (FLAWS B-14).",
        eras: WITH_IDS,
        spoil: |rules| rules.continue_backlog = ContinueBacklog::Missing,
    },
    Fault {
        name: "transaction-counted-by-command",
        sentence: "The commands of a transaction count as applied when they are read, and are dropped with the link (FLAWS F-18).",
        eras: WITH_IDS,
        spoil: |rules| rules.open_transaction = OpenTransaction::DroppedAndCounted,
    },
    Fault {
        name: "transaction-left-open",
        sentence: "A primary that becomes a replica within a transaction leaves EXEC out of the stream (FLAWS B-08).",
        eras: WITH_IDS,
        spoil: |rules| rules.transaction_end = TransactionEnd::Missing,
    },
    Fault {
        name: "stream-database-not-saved",
        sentence: "A snapshot says that the stream is in the first database, wherever it is (FLAWS B-37).",
        eras: WITH_IDS,
        spoil: |rules| rules.snapshot_database = SnapshotDatabase::AlwaysFirst,
    },
    Fault {
        name: "full-resync-without-select",
        sentence: "The stream after a snapshot begins in whatever database it was in before (FLAWS F-19).",
        eras: WITHOUT_IDS,
        spoil: |rules| rules.select_after_sync = SelectAfterSync::OnChange,
    },
    Fault {
        name: "promotion-without-select",
        sentence: "The stream of a promoted node begins in the database in which it stood as a replica (FLAWS F-20).",
        eras: WITH_IDS,
        spoil: |rules| rules.select_after_promotion = SelectAfterPromotion::OnChange,
    },
    Fault {
        name: "backlog-birth-keeps-id",
        sentence: "A new backlog retires no name, so that one from before an uncounted write stays usable (FLAWS F-06).",
        eras: WITH_IDS,
        spoil: |rules| rules.backlog_birth = BacklogBirth::SkipsNothing,
    },
    Fault {
        name: "renaming-keeps-replicas",
        sentence: "A replica that is told a new name keeps its own replicas, which go on under the old one (FLAWS F-14).",
        eras: &[Era::Psync2V7],
        spoil: |rules| rules.renaming = Renaming::KeepsReplicas,
    },
];

/// Gives the rules the flaws that servers of their era still have in the field: FLAWS B-01 where there is `PSYNC`,
/// F-16 where a run ID names a history, and F-21 from 7.0 on. F-17 ships too, but not as an entry: nobody could do better
/// with what `+CONTINUE` tells, and so the right rules have it as well.
pub fn ship(rules: &mut Rulebook) {
    if rules.era != Era::Sync {
        rules.sync_fallback = SyncFallback::KeepsStaleId;
    }
    if rules.era == Era::Psync {
        rules.role_numbering = RoleNumbering::StartsAgain;
    }
    if rules.era == Era::Psync2V7 {
        rules.transaction_end = TransactionEnd::Unsaid;
    }
}

/// The rules of `era` with the entry of the fault `name` spoiled.
pub fn rulebook_with(era: Era, name: &str) -> Result<Rulebook, FaultError> {
    let fault = FAULTS.iter().find(|fault| fault.name == name);
    let fault = fault.ok_or_else(|| FaultError::Unknown {
        given: name.to_owned(),
    })?;
    if !fault.eras.contains(&era) {
        return Err(FaultError::WithoutEffect {
            name: fault.name,
            era,
        });
    }
    let mut rules = Rulebook::of(era);
    (fault.spoil)(&mut rules);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_spoils_its_eras_and_is_refused_elsewhere() {
        for fault in FAULTS {
            for era in Era::ALL {
                match rulebook_with(era, fault.name) {
                    Ok(rules) => assert_ne!(rules, Rulebook::of(era), "{} in {era}", fault.name),
                    Err(FaultError::WithoutEffect { .. }) => assert!(!fault.eras.contains(&era)),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
    }
}
