//! Rounds, medians and Markdown. Knows nothing of what is measured.

use std::fmt::Write;

use anyhow::Result;

/// A figure of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Digits behind the point.
    pub digits: usize,
    /// Another column sets it against the reference.
    pub ratio: bool,
}

/// A column that stands for itself, or is set against the reference.
pub const fn column(name: &'static str, digits: usize, ratio: bool) -> Column {
    Column { name, digits, ratio }
}

/// Which pass through a target this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first one: everything is compared, and nothing counts.
    Verify,
    /// One that counts.
    Count,
}

/// What is known of a target.
pub struct Row {
    /// What it is called.
    pub who: String,
    /// The figures of each round, or why there are none.
    pub rounds: Result<Vec<Vec<f64>>>,
}

/// One workload.
pub struct Table {
    /// Its name.
    pub title: String,
    /// What is wanted of the product, and whatever else has to be known.
    pub note: String,
    /// Its figures.
    pub columns: &'static [Column],
    /// The row that ratios are set against.
    pub reference: &'static str,
    /// One for each target.
    pub rows: Vec<Row>,
}

/// Runs `once` for each target in each round, so that what changes on the machine hits all of them;
/// before the rounds once for each to verify. A target that fails is left out from then on.
pub fn interleave<T>(
    targets: &[T],
    name: impl Fn(&T) -> String,
    rounds: usize,
    mut once: impl FnMut(&T, Pass) -> Result<Vec<f64>>,
) -> Vec<Row> {
    let row = |target: &T| Row { who: name(target), rounds: Ok(Vec::new()) };
    let mut rows: Vec<Row> = targets.iter().map(row).collect();
    for round in 0..=rounds {
        let pass = if round == 0 { Pass::Verify } else { Pass::Count };
        for (target, row) in targets.iter().zip(&mut rows) {
            let Ok(figures) = &mut row.rounds else { continue };
            match once(target, pass) {
                Ok(_) if pass == Pass::Verify => {}
                Ok(round) => figures.push(round),
                Err(error) => row.rounds = Err(error),
            }
        }
    }
    rows
}

impl Table {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        if !self.note.is_empty() {
            let _ = writeln!(text, "{}\n", self.note);
        }
        let (mut names, mut line) = ("| who |".to_owned(), "|---|".to_owned());
        for column in self.columns {
            let _ = write!(names, " {} |", column.name);
            line += "---:|";
            if column.ratio {
                let _ = write!(names, " × {} |", self.reference);
                line += "---:|";
            }
        }
        let _ = writeln!(text, "{names}\n{line}");
        let mut failures = String::new();
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.who);
            if let Err(error) = &row.rounds {
                let _ = writeln!(failures, "{}: {error:#}\n", row.who);
            }
            for at in 0..self.columns.len() {
                text += &self.cells(row, at);
            }
            text.push('\n');
        }
        text.push('\n');
        text + &failures
    }

    /// The cell of a column, and that of its ratio.
    fn cells(&self, row: &Row, at: usize) -> String {
        let Column { digits, ratio, .. } = self.columns[at];
        let Some(Spread { least, median, most }) = row.spread(at) else {
            return if ratio { " – | – |" } else { " – |" }.into();
        };
        let mut cells = match most > least {
            true => format!(" **{median:.digits$}** ({least:.digits$}–{most:.digits$}) |"),
            false => format!(" **{median:.digits$}** |"),
        };
        if ratio {
            let reference = self.rows.iter().find(|row| row.who == self.reference);
            let reference = reference.and_then(|row| row.spread(at)).map(|spread| spread.median);
            let times = reference.filter(|reference| *reference > 0.0).map(|r| median / r);
            cells += &times.map_or(" – |".into(), |times| format!(" {times:.2} |"));
        }
        cells
    }
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Row {
    fn spread(&self, at: usize) -> Option<Spread> {
        let rounds = self.rounds.as_ref().ok()?;
        let mut figures: Vec<f64> =
            rounds.iter().filter_map(|round| round.get(at)).copied().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => figures[middle],
            _ => f64::midpoint(figures[middle - 1], figures[middle]),
        };
        Some(Spread { least, median, most })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn rounds_are_interleaved_the_first_pass_does_not_count_and_medians_are_told() {
        let mut order = String::new();
        let rows = interleave(
            &["a", "b", "c"],
            |name| name.to_string(),
            3,
            |name, pass| {
                order += name;
                match (*name, pass) {
                    ("c", _) => bail!("refuses"),
                    (_, Pass::Verify) => Ok(vec![1000.0]),
                    ("a", _) => Ok(vec![order.len() as f64]),
                    _ => Ok(vec![20.0]),
                }
            },
        );
        assert_eq!(order, "abcababab");
        let columns = const { &[column("cost", 1, true)] };
        let (title, note) = ("T".to_owned(), "Wanted: little.".to_owned());
        let table = Table { title, note, columns, reference: "b", rows };
        assert_eq!(
            table.markdown(),
            "### T\n\nWanted: little.\n\n| who | cost | × b |\n|---|---:|---:|\n\
             | a | **6.0** (4.0–8.0) | 0.30 |\n| b | **20.0** | 1.00 |\n| c | – | – |\n\nc: refuses\n\n"
        );
    }
}
