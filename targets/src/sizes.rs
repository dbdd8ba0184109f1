//! The table of binary sizes, `sizes.toml`: what each triple may take, and what it took last.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A figure may grow over the saved one by this many parts in a hundred before somebody has to look: another release of
/// the compiler changes it by about one.
const SLACK: usize = 2;

/// One triple's row, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What docs and design promise.
    pub budget: usize,
    /// What it took when the table was last written.
    pub saved: usize,
}

impl Row {
    /// Fails above the budget, and for growth that was not saved on purpose.
    pub fn hold(&self, triple: &str, now: usize) -> Result<()> {
        let Row { budget, saved } = *self;
        if now > budget {
            bail!("{triple}: {now} bytes, over the budget of {budget}");
        }
        if now > saved + saved * SLACK / 100 {
            bail!(
                "{triple}: {now} bytes, {saved} saved (meant so: HULL_SAVE_SIZES=1, and say why in the commit)"
            );
        }
        Ok(())
    }
}

pub type Table = BTreeMap<String, Row>;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sizes.toml")
}

/// The table, by triple.
pub fn table() -> Result<Table> {
    let text = fs::read_to_string(path()).with_context(|| format!("read {}", path().display()))?;
    toml::from_str(&text).with_context(|| path().display().to_string())
}

/// Writes `table`; the comment at the top of the file stays.
pub fn save(table: &Table) -> Result<()> {
    let text = fs::read_to_string(path())?;
    let head: String =
        text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    Ok(fs::write(path(), format!("{head}\n{}", toml::to_string(table)?))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_noticed_and_shrinking_is_not() {
        let row = Row { budget: 1000, saved: 900 };
        row.hold("t", 900).unwrap();
        row.hold("t", 1).unwrap();
        row.hold("t", 918).unwrap();
        assert!(row.hold("t", 919).unwrap_err().to_string().starts_with("t: 919 bytes, 900 saved"));
        assert_eq!(row.hold("t", 1001).unwrap_err().to_string(), "t: 1001 bytes, over the budget of 1000");
    }
}
