//! The binary: everything is in the library, where tests and documentation reach it.

/// Measured against the system's own and jemalloc: docs/adr/0011-mimalloc.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    baluarte_server::main()
}
