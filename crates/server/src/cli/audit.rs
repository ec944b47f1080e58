//! `audit`: the chain checked, exported, anchored.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use baluarte_audit::{Audit, CallFilter, Checkpoint, Format, Verdict, verify};
use baluarte_component::Tasks;
use baluarte_db::Db;
use baluarte_kernel::{Clock, Ctx};
use clap::{Args, Subcommand, ValueEnum};
use tokio::runtime::{Builder, Handle};

use super::{Failure, Global, print};
use crate::{config::Config, start};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check the whole chain, its signatures and its anchors; exit 1 and the first broken entry where it does not hold
    Verify(Verify),
    /// Print entries in the order of the chain, as lines from which anybody can compute the hashes
    Export(Export),
    /// Print one of the gateway's recorded calls with the proof that it is in the chain
    Proof {
        /// The call, as the list of calls names it: cal_….17
        call: String,
    },
    /// Make a signed checkpoint now and print it; keep it where nobody who can change the database reaches it
    Anchor {
        /// Append it to this file instead of printing it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Checkpoints that were kept elsewhere, one a line; may be given several times
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// How many connections read at once [default: one for each core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Begin with this entry
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: i64,
    /// How entries are written
    #[arg(long, value_enum, default_value_t = Lines::Ndjson)]
    format: Lines,
    /// Print keys, the last pruning and all checkpoints instead: what a check of the entries needs besides
    #[arg(long)]
    checkpoints: bool,
    /// Print the gateway's recorded calls instead, as NDJSON
    #[arg(long, conflicts_with_all = ["checkpoints", "from", "format"])]
    calls: bool,
    /// Print the batches of the gateway's calls instead, with the bytes that were hashed, from which anybody can compute the roots
    #[arg(long, conflicts_with_all = ["checkpoints", "from", "format", "calls"])]
    batches: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lines {
    Ndjson,
    Csv,
}

/// A line of an anchor's file is no longer.
const LINE: usize = 16 << 10;
/// Checkpoints read at once.
const PIECE: usize = 1_000;

impl AuditCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load()?.config;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
        match self {
            Self::Verify(command) => runtime.block_on(command.act(config, cores)),
            Self::Export(command) => runtime.block_on(command.act(&config)),
            Self::Proof { call } => runtime.block_on(proof(&config, &call)),
            Self::Anchor { file } => runtime.block_on(anchor(&config, file.as_deref())),
        }
    }
}

impl Verify {
    /// Opens the database for reading and changes nothing, not even the schema.
    async fn act(self, mut config: Config, cores: usize) -> Result<(), Failure> {
        let anchors = self.anchor.iter().map(|file| read_anchors(file)).collect::<Result<Vec<_>, _>>()?.concat();
        let workers = self.workers.unwrap_or(cores).clamp(1, 64);
        config.database.connections = config.database.connections.max(u32::try_from(workers).unwrap_or(64) + 2);
        let secrets = start::secrets(&config).map_err(Failure::chain)?;
        let db = Db::open(&config.database).await.map_err(|err| Failure::chain(err.into()))?;
        let began = Instant::now();
        let verdict = verify(&db, &secrets, anchors, workers).await.map_err(|err| Failure::chain(err.into()))?;
        let took = began.elapsed();
        db.close().await;
        print(&report(&verdict, took.as_secs_f64()))?;
        match verdict.broken.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                let more = rest.iter().map(|broken| format!("\n  also: {broken}")).collect::<String>();
                Err(Failure::Failed(format!("the audit log does not hold: {first}{more}")))
            }
        }
    }
}

fn report(verdict: &Verdict, seconds: f64) -> String {
    let Verdict { chain, entries, through, pruned_through, erased, batches, calls, checkpoints, signed_through, anchors, .. } = verdict;
    let mut text =
        format!("chain {chain}: {entries} entries up to {through}, {checkpoints} checkpoints, {anchors} anchors, in {seconds:.2} s\n");
    text.push_str(&match (through - signed_through, *signed_through) {
        (0, _) => String::new(),
        (left, 0) => {
            format!("no checkpoint signs any of these {left} entries: only an anchor tells whether somebody made all of them anew\n")
        }
        (left, signed) => format!("signed up to entry {signed}; the {left} behind it are held together by hashes alone\n"),
    });
    if *pruned_through > 0 {
        text.push_str(&format!("entries up to {pruned_through} were removed because of their age, as a signed pruning says\n"));
    }
    for (count, what) in [(erased, "entries have had their personal fields erased"), (batches, "entries stand for batches kept elsewhere")]
    {
        if *count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    if *calls > 0 {
        text.push_str(&format!("{calls} recorded calls, whose Merkle roots were computed again\n"));
    }
    for notice in &verdict.notices {
        text.push_str(&format!("note: {notice}\n"));
    }
    if verdict.holds() {
        text.push_str("the chain holds\n");
    }
    text
}

fn read_anchors(file: &Path) -> Result<Vec<Checkpoint>, Failure> {
    let named = |why: &dyn std::fmt::Display| Failure::Failed(format!("{}: {why}", file.display()));
    let mut lines = io::BufReader::new(fs::File::open(file).map_err(|err| named(&err))?);
    let (mut anchors, mut number) = (Vec::new(), 0_u64);
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut lines, LINE as u64).read_until(b'\n', &mut line).map_err(|err| named(&err))?;
        if read == 0 {
            break;
        }
        number += 1;
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            let checkpoint = Checkpoint::from_line(text.trim()).map_err(|why| named(&format!("line {number}: {why}")))?;
            anchors.push(checkpoint);
        }
    }
    if anchors.is_empty() { Err(named(&"has no checkpoints in it")) } else { Ok(anchors) }
}

async fn open(config: &Config) -> Result<(Audit, Tasks, Db), Failure> {
    let tasks = Tasks::new(Handle::current());
    let kit = start::open(config, &Ctx::operator(Clock::System), tasks.clone()).await.map_err(Failure::chain)?;
    Ok((kit.audit, tasks, kit.db))
}

impl Export {
    async fn act(self, config: &Config) -> Result<(), Failure> {
        let (audit, tasks, db) = open(config).await?;
        let ctx = Ctx::operator(Clock::System);
        if self.checkpoints {
            write_signed(&audit, &ctx).await?;
        } else if self.batches {
            let mut export = audit.export_batches(&ctx).await.map_err(|err| Failure::chain(err.into()))?;
            while let Some(line) = export.next().await.map_err(|err| Failure::chain(err.into()))? {
                if !write(&line)? {
                    break;
                }
            }
        } else if self.calls {
            let mut export = audit.export_calls(&ctx, CallFilter::default()).await.map_err(|err| Failure::chain(err.into()))?;
            while let Some(piece) = export.next().await.map_err(|err| Failure::chain(err.into()))? {
                if !write(&piece)? {
                    break;
                }
            }
        } else {
            let format = match self.format {
                Lines::Ndjson => Format::Ndjson,
                Lines::Csv => Format::Csv,
            };
            audit.begin_export(&ctx, self.from, format.as_str()).await.map_err(|err| Failure::chain(err.into()))?;
            let mut export = audit.export(self.from, format).await.map_err(|err| Failure::chain(err.into()))?;
            while let Some(piece) = export.next().await.map_err(|err| Failure::chain(err.into()))? {
                if !write(&piece)? {
                    break;
                }
            }
        }
        tasks.stop().await;
        db.close().await;
        Ok(())
    }
}

async fn write_signed(audit: &Audit, ctx: &Ctx) -> Result<(), Failure> {
    let failed = |err: baluarte_audit::AuditError| Failure::chain(err.into());
    let keys = audit.key_lines().await.map_err(failed)?;
    for line in keys.into_iter().chain(audit.pruning_line().await.map_err(failed)?) {
        write(format!("{line}\n").as_bytes())?;
    }
    let mut after = 0;
    loop {
        let page = audit.list_checkpoints(ctx, after, PIECE).await.map_err(failed)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.seq;
        for (checkpoint, key) in &page {
            if !write(format!("{}\n", checkpoint.to_line(key)).as_bytes())? {
                return Ok(());
            }
        }
    }
}

/// False when whoever read the other end has seen enough.
fn write(piece: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(piece).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(err) => Err(err.into()),
    }
}

async fn proof(config: &Config, call: &str) -> Result<(), Failure> {
    let (audit, tasks, db) = open(config).await?;
    let proof = audit.prove_call(&Ctx::operator(Clock::System), call).await.map_err(|err| Failure::chain(err.into()))?;
    tasks.stop().await;
    db.close().await;
    let text = serde_json::to_string_pretty(&proof).map_err(|err| Failure::chain(err.into()))?;
    print(&format!("{text}\n"))
}

async fn anchor(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let (audit, tasks, db) = open(config).await?;
    let failed = |err: baluarte_audit::AuditError| Failure::chain(err.into());
    let made = audit.checkpoint_now(&Ctx::operator(Clock::System)).await.map_err(failed)?;
    let key = audit.public_key(&made.kid).await.map_err(|err| Failure::chain(err.into()))?;
    let key = key.ok_or_else(|| Failure::Failed("the key that signed is not in the database any more".to_owned()))?;
    let line = format!("{}\n", made.to_line(&key));
    tasks.stop().await;
    db.close().await;
    let Some(path) = file else { return print(&line) };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    print(&format!("entry {} is anchored in {}\n", made.seq, path.display()))
}
