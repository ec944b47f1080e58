//! What entries of the audit log cost, and how fast their chain is checked and searched.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::Plan;

/// Measured inside a process of its own that has the audit log as a library (`crates/audit/examples/figures.rs`): through HTTP nobody fills
/// a chain with a million entries in a minute.
pub(crate) fn measure(plan: &Plan) -> Result<()> {
    let program = plan.bin.with_file_name("examples").join("figures");
    let status =
        Command::new(&program).arg(plan.entries.to_string()).status().with_context(|| format!("{} is not built", program.display()))?;
    if !status.success() {
        bail!("{}: {status}", program.display());
    }
    Ok(())
}
