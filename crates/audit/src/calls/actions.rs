//! What the recording of calls says about itself.

crate::actions! {
    CALLS_RECORDED = "audit.call.recorded", Info, "A batch of the gateway's calls was recorded; the details hold its Merkle roots.";
    CALLS_LOST = "audit.call.lost", Warning, "Calls could not be recorded, because more came than could be written; their number is exact.";
    CALLS_ANONYMISED = "audit.call.anonymised", Info, "Addresses and user agents of calls before a time (the resource, in microseconds) are erased.";
}
