//! As much of a mail server as a test needs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    mails: mpsc::UnboundedReceiver<String>,
    /// How many mails were offered, taken or not.
    pub(crate) offered: Arc<AtomicUsize>,
}

impl SmtpServer {
    /// Answers the n-th recipient with the n-th reply, or never if that is empty, and all later ones with 250.
    pub(crate) async fn start(replies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, mails) = mpsc::unbounded_channel();
        let offered = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&offered);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(talk(socket, replies, Arc::clone(&counted), sender.clone()));
            }
        });
        Self { port, mails, offered }
    }

    /// The next mail that was taken, as it came over the wire.
    pub(crate) async fn next(&mut self) -> String {
        self.mails.recv().await.unwrap()
    }

    pub(crate) fn offers(&self) -> usize {
        self.offered.load(Ordering::SeqCst)
    }
}

async fn talk(socket: TcpStream, replies: &[&str], offered: Arc<AtomicUsize>, mails: mpsc::UnboundedSender<String>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    socket.write_all(b"220 test\r\n").await.ok()?;
    loop {
        line.clear();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let reply = match line.get(..4).unwrap_or_default() {
            "EHLO" => "250 test",
            "RCPT" => replies.get(offered.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or("250 ok"),
            "DATA" => {
                socket.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    socket.read_line(&mut mail).await.ok()?;
                }
                mails.send(mail).ok()?;
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        if reply.is_empty() {
            std::future::pending::<()>().await;
        }
        socket.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}
