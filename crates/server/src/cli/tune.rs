//! `tune`: how much work a password hash may be on this machine.

use baluarte_identity::tune::{Advice, Goal, Trial, advise, measure};
use baluarte_kernel::ByteSize;
use clap::Args;

use super::{Failure, print};

#[derive(Debug, Args)]
pub(super) struct Tune {
    /// People who sign in at once, in each second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sign_ins: u32,
    /// Memory for all hashes that are computed at once
    #[arg(long, default_value = "256MiB")]
    memory: ByteSize,
}

impl Tune {
    /// Measures for some seconds; best on the machine that will serve, with nothing else to do.
    pub(super) fn run(self) -> Result<(), Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let goal = Goal { sign_ins: self.sign_ins, memory: self.memory, cores };
        let mut trials = String::new();
        let advice = advise(&goal, |trial| {
            let rate = measure(trial);
            trials.push_str(&line(&trial, rate));
            rate
        });
        let Advice { setting, rate, suffices } =
            advice.map_err(|err| Failure::usage(format!("--memory: found {}, and {err}", self.memory)))?;
        print(&format!(
            "{cores} cores; wanted: {} sign-ins a second within {}, and a quarter to spare\n\n{trials}\n[identity]\npassword_memory = \"{}\"\npassword_passes = {}\npassword_threads = {}\n",
            self.sign_ins, self.memory, setting.memory, setting.passes, setting.threads
        ))?;
        if suffices {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "this machine does {rate:.0} sign-ins a second with the least that is safe, which is what stands above; for {} with a quarter to spare it takes more or faster cores, or more --memory",
            self.sign_ins
        )))
    }
}

fn line(trial: &Trial, rate: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    let millis = trial.threads as f64 / rate * 1_000.0;
    format!(
        "{:>7} × {} passes on {} threads: {rate:>6.1} a second, {millis:.0} ms each, {} in use\n",
        trial.memory.to_string(),
        trial.passes,
        trial.threads,
        trial.memory_at_work()
    )
}
