//! Sums over decision trees, in a form in which a row by itself costs no more than one of many.
//!
//! Its nodes are small, so that many stay in the processor's nearest memory, and one row goes down several trees at a time,
//! so that the processor has something to do while it waits for a node. Comparisons and the order of additions are those of
//! ONNX Runtime's `TreeEnsemble` (ai.onnx.ml 5) in double precision, so sums are the same to the last bit.

use std::collections::VecDeque;

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
    nodes: Vec<Node>,
    /// What a node that is a leaf adds.
    weights: Vec<f64>,
    groups: Vec<Group>,
    /// The sum that each tree adds to, in the order of adding.
    sum_of: Vec<usize>,
    pub columns: usize,
    pub sums: usize,
}

/// Trees that a row goes down at a time, of about the same depth: their roots, and which tree each is. Those that are
/// missing from the last group are a leaf.
struct Group {
    roots: [u32; TOGETHER],
    trees: Vec<usize>,
}

/// A tree that was added: its root, the number of splits on its longest way, and the sum it adds to.
struct Planted {
    root: u32,
    depth: usize,
    sum: usize,
}

impl Trees {
    /// Trees from their roots' positions among splits, over rows of `columns`, to `sums` sums. `None` where it is no
    /// ensemble of trees whose leaves each add to their tree's sum.
    pub fn new(roots: &[usize], splits: &[Split], leaves: &[Leaf], columns: usize, sums: usize) -> Option<Self> {
        let (nodes, weights) = (vec![LEAF], vec![0.0]);
        let mut trees = Self { nodes, weights, groups: Vec::new(), sum_of: Vec::new(), columns, sums };
        let takes = columns > 0 && sums > 0;
        if !takes || splits.iter().any(|split| usize::from(split.column) >= columns || split.threshold.is_nan()) {
            return None;
        }
        // Whatever the splits say, there is an end: a tree has each of its nodes once, and nodes of several trees are of none.
        let mut left = splits.len() + leaves.len();
        let plant = |root: &usize| trees.plant(*root, splits, leaves, &mut left);
        let planted = roots.iter().map(plant).collect::<Option<Vec<_>>>()?;
        trees.sum_of = planted.iter().map(|tree| tree.sum).collect();
        let mut order: Vec<usize> = (0..planted.len()).collect();
        order.sort_by_key(|tree| planted[*tree].depth);
        for some in order.chunks(TOGETHER) {
            let mut roots = [0; TOGETHER];
            roots.iter_mut().zip(some).for_each(|(root, tree)| *root = planted[*tree].root);
            trees.groups.push(Group { roots, trees: some.to_vec() });
        }
        Some(trees)
    }

    /// Add one tree's nodes.
    fn plant(&mut self, root: usize, splits: &[Split], leaves: &[Leaf], left: &mut usize) -> Option<Planted> {
        let mut sum = None;
        let first = self.place(1)?;
        let mut deepest = 0;
        let mut waiting = VecDeque::from([(Child::Split(root), first, 0)]);
        while let Some((child, at, depth)) = waiting.pop_front() {
            deepest = depth;
            *left = left.checked_sub(1)?;
            let place = at as usize;
            match child {
                Child::Leaf(number) => {
                    let leaf = leaves.get(number)?;
                    if leaf.sum >= self.sums || *sum.get_or_insert(leaf.sum) != leaf.sum {
                        return None;
                    }
                    self.nodes[place].child = at;
                    self.weights[place] = leaf.weight;
                }
                Child::Split(number) => {
                    let split = splits.get(number)?;
                    let child = self.place(2)?;
                    let (threshold, column, missing_left) = (split.threshold, split.column, split.missing_left);
                    self.nodes[place] = Node { threshold, child, column, missing_left };
                    waiting.extend([(split.left, child, depth + 1), (split.right, child + 1, depth + 1)]);
                }
            }
        }
        Some(Planted { root: first, depth: deepest, sum: sum? })
    }

    fn place(&mut self, count: usize) -> Option<u32> {
        let at = u32::try_from(self.nodes.len()).ok().filter(|at| *at < u32::MAX - 2)?;
        self.nodes.resize(self.nodes.len() + count, LEAF);
        self.weights.resize(self.nodes.len(), 0.0);
        Some(at)
    }

    /// The sums of rows, one row after the other.
    pub fn sum(&self, rows: &[f64], sums: &mut Vec<f64>) {
        sums.clear();
        sums.resize(rows.len() / self.columns * self.sums, 0.0);
        let mut added = vec![0.0; self.sum_of.len()];
        for (row, sums) in rows.chunks_exact(self.columns).zip(sums.chunks_exact_mut(self.sums)) {
            // Without missing values one comparison a node is enough.
            if row.iter().any(|value| value.is_nan()) {
                self.reach(row, &mut added, |value, node| {
                    value > node.threshold || value.is_nan() && !node.missing_left
                });
            } else {
                self.reach(row, &mut added, |value, node| value > node.threshold);
            }
            for (sum, weight) in self.sum_of.iter().zip(&added) {
                sums[*sum] += weight;
            }
        }
    }

    /// What each tree adds for a row; `right` tells whether a value goes to the right of a node.
    fn reach(&self, row: &[f64], added: &mut [f64], right: impl Fn(f64, &Node) -> bool) {
        for group in &self.groups {
            let reached = self.leaves(group.roots, row, &right);
            for (tree, leaf) in group.trees.iter().zip(reached) {
                added[*tree] = self.weights[leaf as usize];
            }
        }
    }

    /// The leaves that a row reaches from these roots.
    fn leaves(&self, mut at: [u32; TOGETHER], row: &[f64], right: impl Fn(f64, &Node) -> bool) -> [u32; TOGETHER] {
        loop {
            let mut moved = 0;
            for place in &mut at {
                let node = &self.nodes[*place as usize];
                let value = row[usize::from(node.column)];
                let next = node.child + u32::from(right(value, node));
                moved |= next ^ *place;
                *place = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, and are the same each time (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        #[allow(clippy::cast_possible_truncation)]
        fn below(&mut self, count: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % count
        }

        /// One of few, so that thresholds are met exactly.
        fn value(&mut self) -> f64 {
            const VALUES: [f64; 8] = [-1.5, -0.0, 0.0, 0.1, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
            VALUES[self.below(VALUES.len())]
        }
    }

    const COLUMNS: usize = 3;

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
                let threshold = [-1.0, 0.0, 0.1, 1.0][numbers.below(4)];
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

        fn trees(&self, sums: usize) -> Option<Trees> {
            Trees::new(&self.roots, &self.splits, &self.leaves, COLUMNS, sums)
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
        let numbers = &mut Numbers(88_172_645_463_325_252);
        for count in [1, 7, 8, 9, 40] {
            for sums in [1, 3] {
                let mut ensemble = Ensemble::default();
                for tree in 0..count {
                    let splits = 1 + numbers.below(30);
                    ensemble.grow(splits, tree % sums, numbers);
                }
                let trees = ensemble.trees(sums).expect("trees");
                let rows: Vec<f64> = (0..COLUMNS * 200).map(|_| numbers.value()).collect();
                let mut found = vec![f64::NAN; 5];
                trees.sum(&rows, &mut found);
                let wanted: Vec<f64> = rows.chunks(COLUMNS).flat_map(|row| ensemble.walked(row, sums)).collect();
                assert_eq!(found, wanted, "{count} trees, {sums} sums");
            }
        }
    }

    fn split(left: Child, right: Child) -> Split {
        Split { column: 0, threshold: 0.0, missing_left: false, left, right }
    }

    #[test]
    fn what_are_no_trees_is_refused() {
        let (leaf, other) = (Leaf { weight: 1.0, sum: 0 }, Leaf { weight: 2.0, sum: 1 });
        let plain = split(Child::Leaf(0), Child::Leaf(1));
        let trees = |splits: &[Split], leaves: &[Leaf], sums| Trees::new(&[0], splits, leaves, 1, sums).is_some();
        assert!(trees(&[plain], &[leaf, leaf], 1));
        assert!(!trees(&[], &[leaf], 1), "no split at the root");
        assert!(!trees(&[plain], &[leaf], 1), "a leaf that is not there");
        assert!(!trees(&[plain], &[leaf, other], 2), "leaves of several sums");
        assert!(!trees(&[plain], &[other, other], 1), "a sum that is not there");
        assert!(!trees(&[split(Child::Split(0), Child::Leaf(0))], &[leaf], 1), "a circle");
        assert!(!trees(&[split(Child::Split(2), Child::Leaf(0))], &[leaf], 1), "a split that is not there");
        assert!(!trees(&[Split { column: 1, ..plain }], &[leaf, leaf], 1), "a column that is not there");
        assert!(!trees(&[Split { threshold: f64::NAN, ..plain }], &[leaf, leaf], 1), "no threshold");
        let shared = [split(Child::Split(1), Child::Split(1)), split(Child::Leaf(0), Child::Leaf(0))];
        assert!(!trees(&shared, &[leaf], 1), "a split with two parents");
    }
}
