//! Sums over decision trees, in a form in which a row by itself costs no more than one of many.
//!
//! The upper parts of all trees are passed at once, where that is the sooner way. Below them nodes are small, so that many
//! stay in the processor's nearest memory, and one row goes down several trees at a time, so that the processor has
//! something to do while it waits for a node. Comparisons and the order of additions are those of
//! ONNX Runtime's `TreeEnsemble` (ai.onnx.ml 5) in double precision, so sums are the same to the last bit.

use std::collections::VecDeque;

use crate::tops::{Cut, MOST_EXITS, Passing, Tops, are_worth_it};

/// Trees that a row goes down at a time.
const TOGETHER: usize = 12;
const LEAF: Node = Node { threshold: f64::INFINITY, child: 0, column: 0, missing_left: true };

/// A row goes to `child` where its value is at most the threshold, or missing and `missing_left`; else to the node after
/// it. A leaf is its own child, and takes every row there.
#[derive(Clone, Copy)]
struct Node {
    threshold: f64,
    child: u32,
    column: u16,
    missing_left: bool,
}

/// A split as it is given: positions of its children among splits or leaves.
#[derive(Clone, Copy)]
pub struct Split {
    pub column: u16,
    pub threshold: f64,
    pub missing_left: bool,
    pub left: Child,
    pub right: Child,
}

#[derive(Clone, Copy)]
pub enum Child {
    Split(usize),
    Leaf(usize),
}

/// A leaf as it is given: what it adds to which sum.
#[derive(Clone, Copy)]
pub struct Leaf {
    pub weight: f64,
    pub sum: usize,
}

/// Trees of one ensemble.
pub struct Trees {
    tops: Tops,
    /// The first of each tree's exits from its upper part, which are side by side.
    exits: Vec<u32>,
    nodes: Vec<Node>,
    /// What a node that is a leaf adds.
    weights: Vec<f64>,
    groups: Vec<Group>,
    /// The sum that each tree adds to, in the order of adding.
    sum_of: Vec<usize>,
    pub columns: usize,
    pub sums: usize,
}

/// Trees that go on below their exits, of about the same depth, and the number of splits on their longest way there. The
/// last group is filled up by one of its own.
struct Group {
    trees: [usize; TOGETHER],
    depth: usize,
}

impl Trees {
    /// Trees from their roots' positions among splits, over rows of `columns`, to `sums` sums. `None` where it is no
    /// ensemble of trees whose leaves each add to their tree's sum.
    pub fn new(roots: &[usize], splits: &[Split], leaves: &[Leaf], columns: usize, sums: usize) -> Option<Self> {
        let given = Given { splits, leaves, columns, sums };
        let grove = Grove::new(roots, given, MOST_EXITS)?;
        let worth_it = are_worth_it(roots.len(), &grove.cuts);
        Some(Self::of(if worth_it { grove } else { Grove::new(roots, given, 1)? }))
    }

    fn of(grove: Grove<'_>) -> Self {
        let planted = grove.planted;
        let mut deep: Vec<usize> = (0..planted.len()).filter(|tree| planted[*tree].depth > 0).collect();
        deep.sort_by_key(|tree| planted[*tree].depth);
        let group = |trees: &[usize]| {
            let last = trees.len() - 1;
            Group { trees: std::array::from_fn(|at| trees[at.min(last)]), depth: planted[trees[last]].depth }
        };
        Self {
            tops: Tops::new(planted.len(), grove.cuts),
            exits: planted.iter().map(|tree| tree.exit).collect(),
            nodes: grove.nodes,
            weights: grove.weights,
            groups: deep.chunks(TOGETHER).map(group).collect(),
            sum_of: planted.iter().map(|tree| tree.sum).collect(),
            columns: grove.given.columns,
            sums: grove.given.sums,
        }
    }

    /// The sums of rows, one row after the other.
    pub fn sum(&self, rows: &[f64], sums: &mut Vec<f64>) {
        sums.clear();
        sums.resize(rows.len() / self.columns * self.sums, 0.0);
        let (mut passing, mut at) = (Passing::default(), Vec::with_capacity(self.exits.len()));
        for (row, sums) in rows.chunks_exact(self.columns).zip(sums.chunks_exact_mut(self.sums)) {
            at.clear();
            at.extend(self.tops.pass(row, &mut passing).zip(&self.exits).map(|(exit, first)| first + exit));
            // Without missing values one comparison a node is enough.
            if row.iter().any(|value| value.is_nan()) {
                self.go_on(row, &mut at, |value, node| value > node.threshold || value.is_nan() && !node.missing_left);
            } else {
                self.go_on(row, &mut at, |value, node| value > node.threshold);
            }
            for (sum, leaf) in self.sum_of.iter().zip(&at) {
                sums[*sum] += self.weights[*leaf as usize];
            }
        }
    }

    /// From exits to leaves; `right` tells whether a value goes to the right of a node.
    fn go_on(&self, row: &[f64], at: &mut [u32], right: impl Fn(f64, &Node) -> bool) {
        for group in &self.groups {
            let reached = self.leaves(group.trees.map(|tree| at[tree]), group.depth, row, &right);
            for (tree, leaf) in group.trees.iter().zip(reached) {
                at[*tree] = leaf;
            }
        }
    }

    /// The leaves that a row reaches from these nodes, in so many steps at most.
    fn leaves(
        &self,
        mut at: [u32; TOGETHER],
        depth: usize,
        row: &[f64],
        right: impl Fn(f64, &Node) -> bool,
    ) -> [u32; TOGETHER] {
        for _ in 0..depth {
            let mut moved = 0;
            for place in &mut at {
                let node = &self.nodes[*place as usize];
                let value = row[usize::from(node.column)];
                let next = node.child + u32::from(right(value, node));
                moved |= next ^ *place;
                *place = next;
            }
            if moved == 0 {
                break;
            }
        }
        at
    }
}

/// Splits and leaves of all trees as they are given, over rows of `columns`, to `sums` sums.
#[derive(Clone, Copy)]
struct Given<'a> {
    splits: &'a [Split],
    leaves: &'a [Leaf],
    columns: usize,
    sums: usize,
}

/// A tree that was added: its first exit, the number of splits on its longest way below the exits, and the sum it adds to.
struct Planted {
    exit: u32,
    depth: usize,
    sum: usize,
}

/// All trees, and the upper parts of them, which have `most_exits` at most.
struct Grove<'a> {
    given: Given<'a>,
    most_exits: usize,
    /// Nodes that may come yet. Whatever the splits say, there is an end: a tree has each of its nodes once, and nodes of
    /// several trees are of none.
    left: usize,
    nodes: Vec<Node>,
    weights: Vec<f64>,
    cuts: Vec<Cut>,
    planted: Vec<Planted>,
}

impl<'a> Grove<'a> {
    fn new(roots: &[usize], given: Given<'a>, most_exits: usize) -> Option<Self> {
        let is_one = |split: &Split| usize::from(split.column) < given.columns && !split.threshold.is_nan();
        if given.columns == 0 || given.sums == 0 || !given.splits.iter().all(is_one) {
            return None;
        }
        let left = given.splits.len() + given.leaves.len();
        let (nodes, weights, cuts, planted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut grove = Self { given, most_exits, left, nodes, weights, cuts, planted };
        (0..).zip(roots).try_for_each(|(tree, root)| grove.plant(tree, *root))?;
        Some(grove)
    }

    /// Add one tree.
    fn plant(&mut self, tree: u32, root: usize) -> Option<()> {
        let (mut top, mut exits) = (self.top(root)?, Vec::new());
        self.pass(tree, Child::Split(root), &mut top, &mut exits)?;
        let first = self.place(exits.len())?;
        let mut sum = None;
        let mut deepest = 0;
        let mut waiting: VecDeque<_> = (first..).zip(exits).map(|(at, child)| (child, at, 0)).collect();
        while let Some((child, at, depth)) = waiting.pop_front() {
            deepest = depth;
            self.left = self.left.checked_sub(1)?;
            let place = at as usize;
            match child {
                Child::Leaf(number) => {
                    let leaf = self.given.leaves.get(number)?;
                    if leaf.sum >= self.given.sums || *sum.get_or_insert(leaf.sum) != leaf.sum {
                        return None;
                    }
                    self.nodes[place].child = at;
                    self.weights[place] = leaf.weight;
                }
                Child::Split(number) => {
                    let split = self.given.splits.get(number)?;
                    let child = self.place(2)?;
                    let (threshold, column, missing_left) = (split.threshold, split.column, split.missing_left);
                    self.nodes[place] = Node { threshold, child, column, missing_left };
                    waiting.extend([(split.left, child, depth + 1), (split.right, child + 1, depth + 1)]);
                }
            }
        }
        self.planted.push(Planted { exit: first, depth: deepest, sum: sum? });
        Some(())
    }

    /// The uppermost splits of a tree, level by level: one fewer than exits.
    fn top(&self, root: usize) -> Option<Vec<usize>> {
        let mut top = Vec::new();
        let mut waiting = VecDeque::from([Child::Split(root)]);
        while let Some(child) = waiting.pop_front() {
            if let Child::Split(number) = child
                && top.len() + 1 < self.most_exits
            {
                let split = self.given.splits.get(number)?;
                top.push(number);
                waiting.extend([split.left, split.right]);
            }
        }
        Some(top)
    }

    /// Add the exits of a part of the top, and its cuts; `top` are the splits that were not met yet, each once.
    fn pass(&mut self, tree: u32, child: Child, top: &mut Vec<usize>, exits: &mut Vec<Child>) -> Option<()> {
        let met = if let Child::Split(number) = child { top.iter().position(|split| *split == number) } else { None };
        let Some(met) = met else {
            exits.push(child);
            return Some(());
        };
        let split = self.given.splits[top.swap_remove(met)];
        self.left = self.left.checked_sub(1)?;
        let first = exits.len();
        self.pass(tree, split.left, top, exits)?;
        let left = first..exits.len();
        self.pass(tree, split.right, top, exits)?;
        let (column, threshold, missing_left) = (usize::from(split.column), split.threshold, split.missing_left);
        self.cuts.push(Cut { tree, column, threshold, missing_left, left });
        Some(())
    }

    fn place(&mut self, count: usize) -> Option<u32> {
        let at = u32::try_from(self.nodes.len()).ok()?;
        u32::try_from(self.nodes.len() + count).ok()?;
        self.nodes.resize(self.nodes.len() + count, LEAF);
        self.weights.resize(self.nodes.len(), 0.0);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Numbers;

    /// One of few, so that thresholds are met exactly.
    fn value(numbers: &mut Numbers) -> f64 {
        const VALUES: [f64; 9] = [-1.5, -0.0, 0.0, 5e-324, 0.1, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        VALUES[numbers.below(VALUES.len())]
    }

    const COLUMNS: usize = 3;
    const THRESHOLDS: [f64; 8] = [-1.0, -0.0, 0.0, 5e-324, 0.1, 1.0, f64::INFINITY, f64::NEG_INFINITY];

    #[derive(Default)]
    struct Ensemble {
        roots: Vec<usize>,
        splits: Vec<Split>,
        leaves: Vec<Leaf>,
    }

    impl Ensemble {
        /// A tree of some splits, each in the place of a leaf.
        fn grow(&mut self, splits: usize, sum: usize, numbers: &mut Numbers) {
            let root = self.splits.len();
            self.roots.push(root);
            for number in root..root + splits {
                let children = [self.leaf(sum, numbers), self.leaf(sum, numbers)];
                let threshold = THRESHOLDS[numbers.below(THRESHOLDS.len())];
                #[allow(clippy::cast_possible_truncation)]
                let column = numbers.below(COLUMNS) as u16;
                let [left, right] = children;
                self.splits.push(Split { column, threshold, missing_left: numbers.below(2) == 0, left, right });
                if number > root {
                    loop {
                        let parent = root + numbers.below(number - root);
                        let side = numbers.below(2) == 0;
                        let split = &mut self.splits[parent];
                        let place = if side { &mut split.left } else { &mut split.right };
                        if matches!(place, Child::Leaf(_)) {
                            *place = Child::Split(number);
                            break;
                        }
                    }
                }
            }
        }

        fn leaf(&mut self, sum: usize, numbers: &mut Numbers) -> Child {
            #[allow(clippy::cast_precision_loss)]
            let weight = numbers.below(1000) as f64 / 7.0 - 70.0;
            self.leaves.push(Leaf { weight, sum });
            Child::Leaf(self.leaves.len() - 1)
        }

        fn trees(&self, sums: usize, most_exits: usize) -> Option<Trees> {
            let given = Given { splits: &self.splits, leaves: &self.leaves, columns: COLUMNS, sums };
            Grove::new(&self.roots, given, most_exits).map(Trees::of)
        }

        /// One split after the other, as the operator is described.
        fn walked(&self, row: &[f64], sums: usize) -> Vec<f64> {
            let mut found = vec![0.0; sums];
            for root in &self.roots {
                let mut at = Child::Split(*root);
                while let Child::Split(number) = at {
                    let split = self.splits[number];
                    let value = row[usize::from(split.column)];
                    let left = if value.is_nan() { split.missing_left } else { value <= split.threshold };
                    at = if left { split.left } else { split.right };
                }
                let Child::Leaf(number) = at else { unreachable!() };
                found[self.leaves[number].sum] += self.leaves[number].weight;
            }
            found
        }
    }

    #[test]
    fn sums_are_those_of_walking_down_each_tree() {
        let numbers = &mut Numbers::new();
        for (count, most_splits) in [(1, 1), (1, 70), (7, 30), (8, 3), (9, 70), (13, 31), (40, 30), (70, 70), (400, 31)]
        {
            for sums in [1, 3] {
                let mut ensemble = Ensemble::default();
                for tree in 0..count {
                    let splits = 1 + numbers.below(most_splits);
                    ensemble.grow(splits, tree % sums, numbers);
                }
                let rows: Vec<f64> = (0..COLUMNS * 200).map(|_| value(numbers)).collect();
                let wanted: Vec<f64> = rows.chunks(COLUMNS).flat_map(|row| ensemble.walked(row, sums)).collect();
                for most_exits in [1, 2, 3, 8, MOST_EXITS] {
                    let trees = ensemble.trees(sums, most_exits).expect("trees");
                    let mut found = vec![f64::NAN; 5];
                    trees.sum(&rows, &mut found);
                    assert_eq!(found, wanted, "{count} trees of up to {most_splits} splits, {sums} sums, {most_exits}");
                }
            }
        }
    }

    #[test]
    fn upper_parts_are_passed_at_once_where_rows_are_not_wide_for_their_trees() {
        let numbers = &mut Numbers::new();
        for (count, at_once) in [(100, true), (2, false)] {
            let mut ensemble = Ensemble::default();
            (0..count).for_each(|_| ensemble.grow(20, 0, numbers));
            let trees = Trees::new(&ensemble.roots, &ensemble.splits, &ensemble.leaves, COLUMNS, 1).expect("trees");
            assert_eq!(trees.groups.is_empty(), at_once, "{count} trees");
        }
    }

    fn split(left: Child, right: Child) -> Split {
        Split { column: 0, threshold: 0.0, missing_left: false, left, right }
    }

    #[test]
    fn what_are_no_trees_is_refused() {
        let (leaf, other) = (Leaf { weight: 1.0, sum: 0 }, Leaf { weight: 2.0, sum: 1 });
        let plain = split(Child::Leaf(0), Child::Leaf(1));
        let trees = |splits: &[Split], leaves: &[Leaf], sums| {
            let given = Given { splits, leaves, columns: 1, sums };
            let [whole, parts] = [1, MOST_EXITS].map(|most_exits| Grove::new(&[0], given, most_exits).is_some());
            assert_eq!(whole, parts);
            whole
        };
        assert!(trees(&[plain], &[leaf, leaf], 1));
        assert!(!trees(&[], &[leaf], 1), "no split at the root");
        assert!(!trees(&[plain], &[leaf], 1), "a leaf that is not there");
        assert!(!trees(&[plain], &[leaf, other], 2), "leaves of several sums");
        assert!(!trees(&[plain], &[other, other], 1), "a sum that is not there");
        assert!(!trees(&[split(Child::Split(0), Child::Leaf(0))], &[leaf], 1), "a circle");
        assert!(!trees(&[split(Child::Split(2), Child::Leaf(0))], &[leaf], 1), "a split that is not there");
        let ring = [split(Child::Split(1), Child::Leaf(0)), split(Child::Split(0), Child::Leaf(0))];
        assert!(!trees(&ring, &[leaf; 4], 1), "a wider circle");
        assert!(!trees(&[Split { column: 1, ..plain }], &[leaf, leaf], 1), "a column that is not there");
        assert!(!trees(&[Split { threshold: f64::NAN, ..plain }], &[leaf, leaf], 1), "no threshold");
        let shared = [split(Child::Split(1), Child::Split(1)), split(Child::Leaf(0), Child::Leaf(0))];
        assert!(!trees(&shared, &[leaf], 1), "a split with two parents");
    }
}
