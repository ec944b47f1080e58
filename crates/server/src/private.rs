//! Secrets, and the files and folders that hold them.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Creates a file that only its owner reads (0600). Fails when it exists.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    write_new(path, text, 0o600)
}

/// Creates a file that everybody may read. Fails when it exists.
pub(crate) fn write_public(path: &Path, text: &str) -> io::Result<()> {
    write_new(path, text, 0o644)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// 48 random bytes in 64 characters.
pub(crate) fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>())
}

/// A folder that only its owner may look into; removed with this value, also when something fails.
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    pub(crate) fn create(purpose: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("baluarte-{purpose}-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("{} cannot be created", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed lies in the temporary folder, where the system clears up.
        let _ = fs::remove_dir_all(&self.0);
    }
}
