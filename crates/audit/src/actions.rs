//! What the audit log records about itself.

crate::actions! {
    LEFT_OUT = "audit.entry.left_out", Warning, "More entries of one action came than are kept in a minute; they were counted instead.";
    KEY_MADE = "audit.key.made", Notice, "A key that signs checkpoints was made.";
    CHECKPOINT_ASKED = "audit.checkpoint.made", Info, "Somebody asked for a signed checkpoint, which covers this entry.";
    PRUNED = "audit.entry.pruned", Notice, "Entries older than audit.keep were removed; a signed pruning keeps the hash that the rest follows.";
    PERSON_ERASED = "audit.person.erased", Notice, "The personal fields of entries by or about a person were erased.";
    EXPORTED = "audit.entry.exported", Notice, "Somebody exported entries.";
    CHAIN_BROKEN = "audit.chain.broken", Alert, "A check of the whole chain found that it does not hold.";
}
