//! Ports that no other test of this machine is using.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
};

/// A port on 127.0.0.1, ours until dropped: for programs that have to be told their port before they start.
///
/// It lies below the range that the kernel hands out by itself, and a locked file keeps other tests (which run in
/// processes of their own) from choosing it too, so it cannot be taken between choosing and listening.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

impl Port {
    pub fn reserve() -> Self {
        let folder = std::env::temp_dir().join("baluarte-test-ports");
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let start = rand::random::<u16>() % COUNT;
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let Ok(lock) = File::create(folder.join(number.to_string())) else { continue };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.number)
    }
}
