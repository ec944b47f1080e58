//! The binary: everything is in the library, where tests and documentation reach it.

fn main() -> std::process::ExitCode {
    baluarte_server::main()
}
