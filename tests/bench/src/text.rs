//! Tables for people: aligned columns, as plain text or as Markdown. The first columns are words, the rest figures.

/// Rows of equal length; the first one is the head.
pub struct Grid {
    rows: Vec<Vec<String>>,
    words: usize,
}

impl Grid {
    /// `words` columns are flush left, the others flush right.
    pub fn new(words: usize, head: &[&str]) -> Grid {
        Grid { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()], words }
    }

    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The whole table, with a line feed at its end.
    pub fn render(&self, markdown: bool) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            text.push_str(&self.line(row, &widths, markdown));
            if markdown && index == 0 {
                text.push_str(&self.rule(&widths));
            }
        }
        text
    }

    fn line(&self, row: &[String], widths: &[usize], markdown: bool) -> String {
        let pad = |(column, (cell, &width)): (usize, (&String, &usize))| {
            if column < self.words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let cells: Vec<String> = row.iter().zip(widths).enumerate().map(pad).collect();
        if markdown {
            format!("| {} |\n", cells.join(" | "))
        } else {
            format!("{}\n", cells.join("  ").trim_end())
        }
    }

    fn rule(&self, widths: &[usize]) -> String {
        let dashes = |(column, &width): (usize, &usize)| {
            if column < self.words {
                "-".repeat(width)
            } else {
                format!("{}:", "-".repeat(width.saturating_sub(1)))
            }
        };
        let cells: Vec<String> = widths.iter().enumerate().map(dashes).collect();
        format!("| {} |\n", cells.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn words_are_flush_left_and_figures_flush_right() {
        let mut grid = Grid::new(1, &["name", "n"]);
        grid.push(vec!["a".into(), "100".into()]);
        assert_eq!(grid.render(false), "name    n\na     100\n");
        assert_eq!(grid.render(true), "| name |   n |\n| ---- | --: |\n| a    | 100 |\n");
    }
}
