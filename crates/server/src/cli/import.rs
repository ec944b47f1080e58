//! `user import`: people from another program, line by line. A file of millions needs no more memory than one of a thousand.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use baluarte_identity::{Identity, ImportLine, ImportReport, ImportedUser};
use baluarte_kernel::Ctx;
use clap::{Args, ValueEnum};

use super::Failure;

/// Of one line, or of one record of a CSV file.
const LONGEST_LINE: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// CSV with a line of names, or one JSON object a line: email, name, role, plan, email_verified, password_hash, created_at; `-` is standard input
    file: PathBuf,
    /// `csv` or `ndjson`; by the file's name when absent
    #[arg(long)]
    format: Option<Format>,
    /// Read and judge everything, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Make accounts like the file says that are there and that nobody has signed in to yet; otherwise they stay as they are
    #[arg(long)]
    update: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

/// One line of the file: its number, and what it says or why it cannot be read.
type Line = (u64, Result<ImportLine, String>);

#[derive(Debug, Default)]
struct Tally {
    read: u64,
    bad: u64,
    held_back: u64,
    report: ImportReport,
}

impl Import {
    pub(super) async fn act(self, ctx: &Ctx, identity: &Identity) -> Result<String, Failure> {
        let mut lines = self.open()?;
        let (mut tally, mut batch, mut batch_bad) = (Tally::default(), Vec::with_capacity(Identity::IMPORT_BATCH), false);
        let mut in_batch = 0;
        loop {
            let line = lines.next().transpose()?;
            let over = line.is_none();
            if let Some((number, read)) = line {
                (tally.read, in_batch) = (tally.read + 1, in_batch + 1);
                match read.map_err(|problem| vec![problem]).and_then(|line| line.judge(ctx.now())) {
                    Ok(user) => batch.push(user),
                    Err(problems) => {
                        (tally.bad, batch_bad) = (tally.bad + 1, true);
                        // At once: millions of them fit into no memory.
                        writeln!(io::stderr(), "line {number}: {}", problems.join("; "))?;
                    }
                }
            }
            if over || in_batch == Identity::IMPORT_BATCH {
                self.finish(ctx, identity, &batch, batch_bad, &mut tally).await?;
                batch.clear();
                (batch_bad, in_batch) = (false, 0);
            }
            if over {
                return self.summary(&tally);
            }
        }
    }

    async fn finish(&self, ctx: &Ctx, identity: &Identity, batch: &[ImportedUser], bad: bool, tally: &mut Tally) -> Result<(), Failure> {
        if bad {
            tally.held_back += batch.len() as u64;
        } else if !self.dry_run && !batch.is_empty() {
            let done = identity.import_users(ctx, batch, self.update).await.map_err(|err| Failure::chain(anyhow::Error::new(err)))?;
            tally.report.created += done.created;
            tally.report.updated += done.updated;
            tally.report.unchanged += done.unchanged;
        }
        Ok(())
    }

    fn summary(&self, tally: &Tally) -> Result<String, Failure> {
        let Tally { read, bad, held_back, report } = tally;
        let mut said = if self.dry_run {
            format!("{read} lines read, {bad} bad; nothing was written\n")
        } else {
            let ImportReport { created, updated, unchanged } = report;
            format!("{read} lines read, {created} accounts created, {updated} updated, {unchanged} there already, {bad} bad\n")
        };
        if *bad == 0 {
            return Ok(said);
        }
        if !self.dry_run {
            said += &format!(
                "{held_back} good lines were held back: of {} lines that go together, all are taken over or none. Mend the bad ones and \
                 import the same file again: what is there already stays as it is\n",
                Identity::IMPORT_BATCH
            );
        }
        Err(Failure::Failed(said.trim_end().to_owned()))
    }

    fn open(&self) -> Result<Box<dyn Iterator<Item = Result<Line, Failure>>>, Failure> {
        let named = |name: &str| self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(name));
        let format = match self.format {
            Some(format) => format,
            None if named("csv") => Format::Csv,
            None if named("ndjson") || named("jsonl") => Format::Ndjson,
            None => return Err(Failure::Usage("say which format it is: --format csv or --format ndjson".to_owned())),
        };
        let input: Box<dyn Read> = if self.file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(&self.file).map_err(|err| Failure::Failed(format!("{}: {err}", self.file.display())))?)
        };
        match format {
            Format::Csv => Ok(Box::new(Csv::open(input)?)),
            Format::Ndjson => Ok(Box::new(Ndjson { input: BufReader::new(input), number: 0 })),
        }
    }
}

/// One JSON object a line; empty lines count and say nothing.
struct Ndjson<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: Read> Iterator for Ndjson<R> {
    type Item = Result<Line, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut text = Vec::new();
            self.number += 1;
            match self.input.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) if text.len() > LONGEST_LINE && text.last() != Some(&b'\n') => {
                    // The rest of it is no other line.
                    if let Err(err) = self.input.skip_until(b'\n') {
                        return Some(Err(err.into()));
                    }
                    return Some(Ok((self.number, Err(format!("is longer than {LONGEST_LINE} bytes")))));
                }
                Ok(_) if text.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok((self.number, object(&text)))),
                Err(err) => return Some(Err(err.into())),
            }
        }
    }
}

fn object(text: &[u8]) -> Result<ImportLine, String> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).map_err(|_| "is not a JSON object".to_owned())?;
    let mut line = ImportLine::default();
    for (name, value) in fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(yes) => yes.to_string(),
            _ => return Err(format!("{name}: expected a text, true, false or null")),
        };
        if !line.set(&name, value) {
            return Err(unknown(&name));
        }
    }
    Ok(line)
}

fn unknown(name: &str) -> String {
    format!("{name:?} is none of {}", ImportLine::FIELDS.join(", "))
}

/// Counts what is read since a record began: a quotation mark without its fellow would make one record of the whole file.
struct Bounded<R> {
    input: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let most = into.len().min(self.left.get());
            if most == 0 && !into.is_empty() {
                let problem = format!("a record is longer than {LONGEST_LINE} bytes: is a quotation mark missing before it?");
                return Err(io::Error::other(problem));
            }
            let read = self.input.read(&mut into[..most])?;
            self.left.set(self.left.get() - read);
            // With the other half of a line's end still to come, the reader would count one line too few.
            let mut kept = 0;
            for at in 0..read {
                if into[at] != b'\r' {
                    into[kept] = into[at];
                    kept += 1;
                }
            }
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

/// RFC 4180, with a first line of names.
struct Csv {
    input: csv::Reader<Bounded<Box<dyn Read>>>,
    left: Rc<Cell<usize>>,
    names: Vec<String>,
    over: bool,
}

impl Csv {
    fn open(input: Box<dyn Read>) -> Result<Self, Failure> {
        let left = Rc::new(Cell::new(LONGEST_LINE));
        let mut input = csv::ReaderBuilder::new().flexible(true).from_reader(Bounded { input, left: Rc::clone(&left) });
        let names: Vec<String> = match input.headers() {
            Ok(names) => names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase()).collect(),
            Err(err) => return Err(Failure::Failed(format!("line 1: {err}"))),
        };
        if let Some(name) = names.iter().find(|name| !ImportLine::FIELDS.contains(&name.as_str())) {
            return Err(Failure::Failed(format!("line 1: {}", unknown(name))));
        }
        if !names.iter().any(|name| name == "email") {
            return Err(Failure::Failed("line 1: it names no column \"email\"".to_owned()));
        }
        Ok(Self { input, left, names, over: false })
    }
}

impl Iterator for Csv {
    type Item = Result<Line, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut record = csv::StringRecord::new();
        self.left.set(LONGEST_LINE);
        let number = self.input.position().line();
        match self.input.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                let number = record.position().map_or(number, csv::Position::line);
                if record.len() != self.names.len() {
                    let problem = format!("has {} columns, the first line has {}", record.len(), self.names.len());
                    return Some(Ok((number, Err(problem))));
                }
                let mut line = ImportLine::default();
                for (name, value) in self.names.iter().zip(&record) {
                    line.set(name, value.to_owned());
                }
                Some(Ok((number, Ok(line))))
            }
            Err(err) if matches!(err.kind(), csv::ErrorKind::Utf8 { .. }) => Some(Ok((number, Err("is not UTF-8".to_owned())))),
            Err(err) => {
                self.over = true;
                Some(Err(Failure::Failed(format!("line {number}: {err}"))))
            }
        }
    }
}
