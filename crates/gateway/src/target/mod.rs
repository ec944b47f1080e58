//! What answers a request once it may pass: one file per kind of target.

mod directory;
mod file;
mod fixed;
mod redirect;
mod upstream;

pub(crate) use directory::Directory;
pub(crate) use file::is_directory;
pub(crate) use fixed::Fixed;
pub(crate) use redirect::Redirect;
pub(crate) use upstream::ToUpstream;
