//! The upper parts of trees, which a row passes at once: `QuickScorer` (Lucchese et al., SIGIR 2015, section 3).
//!
//! The exits of an upper part are numbered from left to right, a bit each. A split whose right side a row takes takes the
//! bits of its left side away; whichever splits did so, the first bit that is left is the row's exit. So no step waits for
//! the one before. A column's splits are sorted by threshold, and what they leave together is kept for every so many.

use std::collections::HashMap;
use std::ops::Range;

/// Exits of a tree's upper part, at most.
pub const MOST_EXITS: usize = u32::BITS as usize;
/// Bytes of what is kept, about, and as many again for missing values at most: of more, a processor would wait for its
/// memory.
const KEPT: usize = 1 << 20;
const LEAST_TOGETHER: usize = 8;
/// What a row costs, in cycles, about: to find its place in a column, to pass one tree by what is kept for a column
/// (a third of a cycle), and what walking down the upper part of a tree would cost instead. Measured with models of 30 to
/// 300 trees over 4 to 200 columns: with these none was more than a tenth slower than by walking, and many took half.
const TO_FIND: usize = 50;
const TREES_A_CYCLE: usize = 3;
const TO_WALK: usize = 20;

/// A split of an upper part, and the exits of its left side.
pub struct Cut {
    pub tree: u32,
    pub column: usize,
    pub threshold: f64,
    pub missing_left: bool,
    pub left: Range<usize>,
}

/// What splits leave of a tree's exits.
#[derive(Clone, Copy)]
struct Left {
    tree: u32,
    exits: u32,
}

/// The upper parts of all trees.
pub struct Tops {
    trees: usize,
    columns: Vec<Column>,
    /// Of all columns' splits, one column after the other.
    thresholds: Vec<f64>,
    left: Vec<Left>,
    /// For how many splits of a column at a time it is kept what they leave.
    together: usize,
    /// Rows of what is left of each tree's exits.
    kept: Vec<u32>,
}

/// A column that upper parts look at.
struct Column {
    place: usize,
    splits: Range<usize>,
    /// The kept row for a missing value. The rows after it are for the first splits, for twice as many, and so on.
    kept: usize,
}

/// What a row is told by: how many thresholds of each column are below its values, and what is left of each tree's exits.
#[derive(Default)]
pub struct Passing {
    below: Vec<usize>,
    left: Vec<u32>,
}

impl Tops {
    /// The upper parts that are made of these splits.
    pub fn new(trees: usize, mut cuts: Vec<Cut>) -> Self {
        let together = together(trees, &cuts);
        let mut tops =
            Self { trees, columns: Vec::new(), thresholds: Vec::new(), left: Vec::new(), together, kept: Vec::new() };
        cuts.sort_by(|one, other| one.column.cmp(&other.column).then(one.threshold.total_cmp(&other.threshold)));
        for cuts in cuts.chunk_by(|one, other| one.column == other.column) {
            tops.add(cuts);
        }
        tops
    }

    /// Add a column's splits, which are sorted by threshold.
    fn add(&mut self, cuts: &[Cut]) {
        let first = self.left.len();
        let kept = self.kept.len() / self.trees;
        let mut left = vec![u32::MAX; self.trees];
        for cut in cuts.iter().filter(|cut| !cut.missing_left) {
            left[cut.tree as usize] &= cut.leaves();
        }
        self.kept.extend_from_slice(&left);
        left.fill(u32::MAX);
        for (number, cut) in (1..).zip(cuts) {
            self.thresholds.push(cut.threshold);
            self.left.push(Left { tree: cut.tree, exits: cut.leaves() });
            left[cut.tree as usize] &= cut.leaves();
            if number % self.together == 0 {
                self.kept.extend_from_slice(&left);
            }
        }
        self.columns.push(Column { place: cuts[0].column, splits: first..self.left.len(), kept });
    }

    /// The number of the exit that a row takes of each tree.
    pub fn pass<'a>(&self, row: &[f64], passing: &'a mut Passing) -> impl Iterator<Item = u32> + use<'a> {
        let Passing { below, left } = passing;
        // By themselves: while one search waits for memory, the next ones go on.
        below.clear();
        below.extend(self.columns.iter().map(|column| {
            let value = row[column.place];
            self.thresholds[column.splits.clone()].partition_point(|threshold| *threshold < value)
        }));
        left.clear();
        left.resize(self.trees, u32::MAX);
        for (column, below) in self.columns.iter().zip(&*below) {
            // No threshold is below a missing value.
            let rows = below / self.together;
            if rows > 0 || row[column.place].is_nan() {
                let kept = &self.kept[(column.kept + rows) * self.trees..][..self.trees];
                left.iter_mut().zip(kept).for_each(|(left, kept)| *left &= kept);
            }
            for few in &self.left[column.splits.clone()][rows * self.together..*below] {
                left[few.tree as usize] &= few.exits;
            }
        }
        left.iter().map(|left| left.trailing_zeros())
    }
}

/// For how many splits of a column at a time what they leave is kept.
fn together(trees: usize, cuts: &[Cut]) -> usize {
    (cuts.len() * trees * size_of::<u32>() / KEPT).max(LEAST_TOGETHER)
}

/// Whether a row passes sooner so than by walking down, and by little memory.
pub fn are_worth_it(trees: usize, cuts: &[Cut]) -> bool {
    let together = together(trees, cuts);
    let mut splits = HashMap::<usize, usize>::new();
    for cut in cuts {
        *splits.entry(cut.column).or_default() += 1;
    }
    let costs = splits.values().map(|splits| {
        let kept = if *splits < together { 0 } else { trees / TREES_A_CYCLE };
        TO_FIND + kept + splits.min(&together)
    });
    splits.len() * trees * size_of::<u32>() <= KEPT && costs.sum::<usize>() < TO_WALK * trees
}

impl Cut {
    /// The exits that are left where a row goes to the right.
    fn leaves(&self) -> u32 {
        self.left.clone().fold(u32::MAX, |left, exit| left & !(1 << exit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(trees: u32, columns: usize) -> Vec<Cut> {
        let cut = |tree| Cut { tree, column: tree as usize % columns, threshold: 0.0, missing_left: true, left: 0..1 };
        (0..trees).map(cut).collect()
    }

    #[test]
    fn rows_that_are_wide_for_their_trees_are_not_worth_it_nor_what_takes_much_memory() {
        for (trees, columns, wanted) in [(100, 10, true), (100, 90, false), (2000, 50, true), (2000, 200, false)] {
            assert_eq!(are_worth_it(trees as usize, &cuts(trees, columns)), wanted, "{trees} trees, {columns} columns");
        }
    }
}
