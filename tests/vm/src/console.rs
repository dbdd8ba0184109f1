//! The lines that the guest writes, and what they sum up to.

use crate::qemu::Ended;

/// What a test came to: nothing to say, or why not.
pub type Verdict = Result<(), String>;

/// The count so far, and the test that is running.
#[derive(Default)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    running: Option<String>,
    /// What was counted before the guest began.
    before: (usize, usize),
    /// What the guest itself counted.
    done: Option<(usize, usize)>,
}

impl Report {
    /// Another guest begins to count.
    pub fn begin(&mut self) {
        self.done = None;
        self.before = (self.passed, self.failed);
    }

    /// Prints what was counted of `machine` since then.
    pub fn sum(&self, machine: &str) {
        println!(
            "    {machine}: {} passed, {} failed",
            self.passed - self.before.0,
            self.failed - self.before.1
        );
    }

    /// Takes one line of the console; lines that are not of the protocol are for the log alone.
    pub fn line(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("BEGIN"), Some(name), None, None) => self.running = Some(name.to_owned()),
            (Some("TEST"), Some(name), Some("ok"), None) => self.count(name, Ok(())),
            (Some("TEST"), Some(name), Some("FAILED"), reason) => {
                self.count(name, Err(reason.unwrap_or_default().to_owned()));
            }
            (Some("DONE"), Some(passed), Some(failed), None) => {
                self.done = passed.parse().ok().zip(failed.parse().ok());
            }
            _ => {}
        }
    }

    /// Counts a result, and prints it.
    pub fn count(&mut self, name: &str, verdict: Verdict) {
        self.running = None;
        match verdict {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name}");
            }
            Err(reason) => {
                self.failed += 1;
                println!("FAILED  {name}");
                for line in unescaped(&reason).lines() {
                    println!("        {line}");
                }
            }
        }
    }

    /// Counts a boot; its console is kept if it failed.
    pub fn verdict(&mut self, name: &str, verdict: Verdict, ended: &Ended) {
        match &verdict {
            Ok(()) => ended.forget(),
            Err(_) => println!("{}", ended.tail()),
        }
        self.count(name, verdict);
    }

    /// The suite's machine has ended: was the suite through, and did init see it to its end? `chosen`: only some tests were
    /// asked for, maybe none of this machine.
    pub fn end(&mut self, ended: &Ended, chosen: bool) {
        if let Some(name) = self.running.take() {
            self.count(&name, Err("the machine ended meanwhile".into()));
        }
        let here = (self.passed - self.before.0, self.failed - self.before.1);
        if here == (0, 0) && chosen && self.done == Some(here) {
            return ended.forget();
        }
        let told = self.done == Some(here) && here != (0, 0);
        let all = if told { Ok(()) } else { Err(format!("the guest counted {:?}", self.done)) };
        let code = i32::from(here.1 > 0);
        let said = format!("hull: init: /bin/guest exited with {code}");
        let told = ended.powered_off().and(all).and_then(|()| ended.says(&said));
        if told.is_err() || code != 0 {
            println!("{}", ended.tail());
        } else {
            ended.forget();
        }
        self.count("init_reports_the_end_and_powers_off", told);
    }
}

/// The guest's own escapes undone, from left to right.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' if rest.next() == Some('n') => plain.push('\n'),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(unescaped(r"one\ntwo\\nthree"), "one\ntwo\\nthree");
    }

    #[test]
    fn lines_of_the_protocol_count_and_others_do_not() {
        let mut report = Report::default();
        for line in [
            "BEGIN one",
            "TEST one ok",
            "some noise",
            "BEGIN two",
            "TEST two FAILED code: 1, not 0",
            "DONE 1 1",
        ] {
            report.line(line);
        }
        assert_eq!((report.passed, report.failed, report.done), (1, 1, Some((1, 1))));
        report.line("BEGIN three");
        assert_eq!(report.running.as_deref(), Some("three"));
    }
}
