//! The progress of all processes of a sweep according to its directory, and the results table.

use super::store::{CellState, Store};
use crate::Result;
use crate::config::Sweep;
use crate::config::sweep::Cell;
use crate::report::Summary;
use crate::report::results::{CellRow, Outcome};

/// The completed cells. A finished cell does not change and is read once.
pub(super) struct Board<'a> {
    sweep: &'a Sweep,
    cells: &'a [Cell],
    store: &'a Store,
    done: Vec<Option<Summary>>,
    left_out: Vec<Option<String>>,
}

impl<'a> Board<'a> {
    /// # Errors
    /// All cells whose directory does not match the sweep, in one message.
    pub fn new(sweep: &'a Sweep, cells: &'a [Cell], store: &'a Store) -> Result<Board<'a>> {
        let done = store.states(cells)?.into_iter().map(CellState::summary).collect();
        Ok(Board { sweep, cells, store, done, left_out: vec![None; cells.len()] })
    }

    /// The state of a cell.
    ///
    /// # Errors
    /// If its directory does not match the sweep.
    pub fn state(&self, i: usize) -> Result<CellState> {
        self.store
            .state(&self.cells[i])?
            .map_err(|what| crate::Error::input(format!("{}: {what}", self.cells[i].directory())))
    }

    /// The cell's summary, if it has been finished.
    ///
    /// # Errors
    /// As [`Board::state`].
    pub fn look(&mut self, i: usize) -> Result<Option<&Summary>> {
        if self.done[i].is_none() {
            self.done[i] = self.state(i)?.summary();
        }
        Ok(self.done[i].as_ref())
    }

    /// Records a cell finished by this process.
    pub fn finished(&mut self, i: usize, summary: Summary) {
        self.done[i] = Some(summary);
    }

    /// The completed cells, in grid order.
    pub fn rows(&self) -> Vec<CellRow> {
        let outcome = |i: usize| match (&self.done[i], &self.left_out[i]) {
            (Some(summary), _) => Some(Outcome::Finished(Box::new(summary.clone()))),
            (None, Some(why)) => Some(Outcome::LeftOut(why.clone())),
            (None, None) => None,
        };
        let row = |(i, cell): (usize, &Cell)| {
            let (cell, labels, seed) = (cell.name.clone(), cell.labels.clone(), cell.seed);
            Some(CellRow { cell, labels, seed, outcome: outcome(i)? })
        };
        self.cells.iter().enumerate().filter_map(row).collect()
    }

    /// Writes the table of all processes' results, and repeats this if cells were added in the meantime, so that the last write
    /// includes all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn publish(&mut self) -> Result<()> {
        self.refresh()?;
        loop {
            self.store.write_results(self.sweep, &self.rows())?;
            if !self.refresh()? {
                return Ok(());
            }
        }
    }

    /// Updates the completed cells; whether anything changed.
    fn refresh(&mut self) -> Result<bool> {
        let mut changed = false;
        for (i, cell) in self.cells.iter().enumerate().filter(|(i, _)| self.done[*i].is_none()).collect::<Vec<_>>() {
            // A foreign directory in a cell's place is reported when the sweep reaches that cell.
            let found = self.store.state(cell)?.ok().and_then(CellState::summary);
            let left_out = self.store.left_out(cell).map(|why| why.reason);
            changed |= found.is_some() || left_out != self.left_out[i];
            (self.done[i], self.left_out[i]) = (found, left_out);
        }
        Ok(changed)
    }
}
