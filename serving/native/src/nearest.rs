//! How the nearest of some points vote for their classes: a k-d tree of our own over the points of a fitted classifier.
//!
//! Distances are those of scikit-learn's `KDTree`, but for rounding where a processor multiplies and adds in one. A row
//! whose neighbourhood ends between two points that are about as far off is not answered: which of them scikit-learn
//! takes, its way of searching says.

/// Points that are compared with a row at a time, so that the processor does several at once.
const TOGETHER: usize = 16;
/// Above this many neighbours, to keep them in order is no longer little work.
const MOST_NEIGHBOURS: usize = 256;
/// Where there are more classes, to count their votes is no longer little work.
const MOST_CLASSES: usize = 64;
/// The part of a distance by which the next point has to be further off: far more than any way of rounding is about.
const CLEAR: f64 = 1e-9;
/// Squares near the least that a double holds are rounded more coarsely than that.
const LEAST: f64 = 1e-280;

/// The points of one leaf in one column. The last leaf is filled up with points that are infinitely far off.
type Block = [f64; TOGETHER];

/// Points, of which some vote. A part of the tree holds so many leaves one after the other, the first half of them (of an
/// odd number the larger one) on its left; of its nodes it is the first, those of its left and its right part follow.
pub struct Nearest {
    /// A block of each column, leaf by leaf.
    blocks: Vec<Block>,
    /// The class of each point.
    classes: Vec<[u8; TOGETHER]>,
    /// For each column the least and the greatest number below a node, node by node.
    bounds: Vec<(f64, f64)>,
    columns: usize,
    count: usize,
    neighbours: usize,
    voted: usize,
}

/// A point that was found: how far off it is, squared, and its class.
type Found = (f64, u8);

/// Some leaves of the tree, and the node that holds them.
#[derive(Clone, Copy)]
struct Part {
    node: usize,
    first: usize,
    leaves: usize,
}

impl Part {
    fn halves(self) -> (Self, Self) {
        let left = self.leaves.div_ceil(2);
        let (node, first) = (self.node, self.first);
        let right = Self { node: node + 2 * left, first: first + left, leaves: self.leaves - left };
        (Self { node: node + 1, first, leaves: left }, right)
    }
}

impl Nearest {
    /// Points of `columns` numbers, one after the other, and the class of each, of which there are `voted`; so many
    /// `neighbours` vote. `None` where these do not fit each other, a number is not finite, or there is no such neighbourhood.
    pub fn new(points: &[f64], classes: &[u8], columns: usize, neighbours: usize, voted: usize) -> Option<Self> {
        let count = classes.len();
        let is_whole = columns > 0 && count.checked_mul(columns) == Some(points.len());
        let is_voted = (1..=count.min(MOST_NEIGHBOURS)).contains(&neighbours);
        let are_known = voted <= MOST_CLASSES && classes.iter().all(|class| usize::from(*class) < voted);
        if !is_whole || !is_voted || !are_known || !points.iter().all(|number| number.is_finite()) {
            return None;
        }
        let leaves = count.div_ceil(TOGETHER);
        let mut order = (0..u32::try_from(count).ok()?).collect::<Vec<_>>();
        let mut tree = Self {
            blocks: vec![[f64::INFINITY; TOGETHER]; leaves * columns],
            classes: vec![[0; TOGETHER]; leaves],
            bounds: vec![(f64::INFINITY, f64::NEG_INFINITY); (2 * leaves - 1) * columns],
            columns,
            count,
            neighbours,
            voted,
        };
        tree.grow(Part { node: 0, first: 0, leaves }, points, classes, &mut order);
        Some(tree)
    }

    /// Put the points of this order into a part of the tree.
    fn grow(&mut self, part: Part, points: &[f64], classes: &[u8], order: &mut [u32]) {
        let columns = self.columns;
        let bounds = &mut self.bounds[part.node * columns..][..columns];
        for point in &*order {
            for ((low, high), number) in bounds.iter_mut().zip(&points[*point as usize * columns..]) {
                (*low, *high) = (low.min(*number), high.max(*number));
            }
        }
        if part.leaves == 1 {
            for (place, point) in order.iter().enumerate() {
                let point = *point as usize;
                self.classes[part.first][place] = classes[point];
                for (column, number) in points[point * columns..][..columns].iter().enumerate() {
                    self.blocks[part.first * columns + column][place] = *number;
                }
            }
            return;
        }
        let spans = bounds.iter().map(|(low, high)| high - low);
        let (widest, _) = spans.enumerate().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default();
        let (left, right) = part.halves();
        let middle = left.leaves * TOGETHER;
        let number = |point: &u32| points[*point as usize * columns + widest];
        order.select_nth_unstable_by(middle, |one, other| number(one).total_cmp(&number(other)));
        let (below, above) = order.split_at_mut(middle);
        self.grow(left, points, classes, below);
        self.grow(right, points, classes, above);
    }

    /// How many of the neighbours of each row are of each class, one row after the other. `None` where that is in doubt for
    /// one of them.
    pub fn votes(&self, rows: &[f64], votes: &mut Vec<f64>) -> Option<()> {
        let kept = self.count.min(self.neighbours + 1);
        let mut found = vec![(f64::INFINITY, 0); kept];
        for row in rows.chunks_exact(self.columns) {
            if !row.iter().all(|number| number.is_finite()) {
                return None;
            }
            found.fill((f64::INFINITY, 0));
            self.search(Part { node: 0, first: 0, leaves: self.classes.len() }, row, &mut found);
            let (inside, beyond) = found.split_at(self.neighbours);
            let last = inside[self.neighbours - 1].0;
            let is_clear = beyond.iter().all(|(next, _)| *next > LEAST && next - last > CLEAR * next);
            if !last.is_finite() || !is_clear {
                return None;
            }
            let at = votes.len();
            votes.resize(at + self.voted, 0.0);
            for (_, class) in inside {
                votes[at + usize::from(*class)] += 1.0;
            }
        }
        Some(())
    }

    /// Keep what a part of the tree has of the nearest points. `found` are the nearest before, by their distance.
    fn search(&self, part: Part, row: &[f64], found: &mut [Found]) {
        if part.leaves == 1 {
            return self.compare(part.first, row, found);
        }
        let (left, right) = part.halves();
        let (to_left, to_right) = (self.least(left.node, row), self.least(right.node, row));
        let is_left = to_left <= to_right;
        let parts = if is_left { [(left, to_left), (right, to_right)] } else { [(right, to_right), (left, to_left)] };
        for (part, least) in parts {
            if least < found[found.len() - 1].0 {
                self.search(part, row, found);
            }
        }
    }

    /// The least squared distance that a point below a node can have. It is rounded as theirs are, so none of them is nearer.
    fn least(&self, node: usize, row: &[f64]) -> f64 {
        let mut sum = 0.0;
        for ((low, high), number) in self.bounds[node * self.columns..].iter().zip(row) {
            let outside = (low - number).max(number - high).max(0.0);
            sum += outside * outside;
        }
        sum
    }

    fn compare(&self, leaf: usize, row: &[f64], found: &mut [Found]) {
        let mut distances = [0.0; TOGETHER];
        for (block, number) in self.blocks[leaf * self.columns..].iter().zip(row) {
            for (distance, point) in distances.iter_mut().zip(block) {
                let difference = number - point;
                *distance += difference * difference;
            }
        }
        for (distance, class) in distances.into_iter().zip(self.classes[leaf]) {
            keep((distance, class), found);
        }
    }
}

/// Keep a point among the nearest if it is one of them.
fn keep(point: Found, found: &mut [Found]) {
    let mut at = found.len() - 1;
    if point.0 >= found[at].0 {
        return;
    }
    while at > 0 && point.0 < found[at - 1].0 {
        found[at] = found[at - 1];
        at -= 1;
    }
    found[at] = point;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Numbers;

    #[allow(clippy::cast_precision_loss)]
    fn some(numbers: &mut Numbers, count: usize) -> Vec<f64> {
        (0..count).map(|_| numbers.below(1 << 40) as f64 / (1_u64 << 38) as f64 - 2.0).collect()
    }

    #[allow(clippy::cast_possible_truncation)]
    fn classes(numbers: &mut Numbers, count: usize) -> Vec<u8> {
        (0..count).map(|_| numbers.below(CLASSES) as u8).collect()
    }

    const CLASSES: usize = 3;

    fn votes(nearest: &Nearest, rows: &[f64]) -> Option<Vec<f64>> {
        let mut found = Vec::new();
        nearest.votes(rows, &mut found).map(|()| found)
    }

    /// Every point's distance, in order.
    fn by_distance(points: &[f64], classes: &[u8], row: &[f64]) -> Vec<Found> {
        let distance =
            |point: &[f64]| row.iter().zip(point).fold(0.0, |sum, (one, other)| sum + (one - other) * (one - other));
        let mut all: Vec<_> = points.chunks(row.len()).map(distance).zip(classes.iter().copied()).collect();
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        all
    }

    fn counted(nearest: &[Found]) -> Vec<f64> {
        let mut votes = vec![0.0; CLASSES];
        for (_, class) in nearest {
            votes[usize::from(*class)] += 1.0;
        }
        votes
    }

    #[test]
    fn those_vote_who_are_nearest_of_all() {
        let numbers = &mut Numbers::new();
        for columns in [1, 2, 3, 4, 7, 12] {
            for count in [1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 100, 1000] {
                let (points, classes) = (some(numbers, count * columns), classes(numbers, count));
                for neighbours in [1, 2, 5, 11, count].into_iter().filter(|most| *most <= count.min(MOST_NEIGHBOURS)) {
                    let nearest = Nearest::new(&points, &classes, columns, neighbours, CLASSES).expect("a tree");
                    let mut answered = 0;
                    for row in some(numbers, 20 * columns).chunks(columns) {
                        let all = by_distance(&points, &classes, row);
                        if let Some(found) = votes(&nearest, row) {
                            assert_eq!(found, counted(&all[..neighbours]), "{columns} {count} {neighbours}");
                            answered += 1;
                        }
                    }
                    assert!(answered > 18, "{answered} of 20: {columns} {count} {neighbours}");
                }
            }
        }
    }

    #[test]
    fn rows_are_answered_one_after_the_other() {
        let nearest = Nearest::new(&[0.0, 1.0, 5.0], &[0, 2, 1], 1, 1, CLASSES).expect("a tree");
        assert_eq!(votes(&nearest, &[9.0, -1.0, 1.1]), Some(vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        assert_eq!(votes(&nearest, &[]), Some(vec![]));
    }

    #[test]
    fn where_two_points_are_about_as_far_off_nobody_votes() {
        let nearest = |points: &[f64]| Nearest::new(points, &vec![0; points.len()], 1, 1, CLASSES).expect("a tree");
        for (points, row) in [
            ([-1.0, 1.0, 9.0], 0.0),
            ([-1.0, 1.0 + 1e-12, 9.0], 0.0),
            ([1.0, 1.0, 9.0], 1.0),
            ([1e-150, 2e-150, 9.0], 0.0),
            ([0.0, 1e-170, 9.0], 0.0),
            ([1e200, 2e200, 3e200], 0.0),
            ([0.0, 1e200, 2e200], 1.0),
        ] {
            assert_eq!(votes(&nearest(&points), &[row]), None, "{points:?}");
            assert_eq!(votes(&nearest(&points), &[9.5, row]), None, "{points:?}");
        }
        assert!(votes(&nearest(&[-1.0, 1.0 + 1e-8, 9.0]), &[0.0]).is_some());
        let inside = Nearest::new(&[1.0, 1.0, 9.0], &[0, 1, 2], 1, 2, CLASSES).expect("a tree");
        assert_eq!(votes(&inside, &[1.0]), Some(vec![1.0, 1.0, 0.0]), "a tie of two who both vote");
    }

    #[test]
    fn all_points_vote_where_there_are_no_more_of_them() {
        let all = Nearest::new(&[1.0, 1.0, 3.0], &[0, 1, 1], 1, 3, CLASSES).expect("a tree");
        assert_eq!(votes(&all, &[2.0]), Some(vec![1.0, 2.0, 0.0]));
        assert_eq!(votes(&all, &[1e200]), None, "what is infinitely far off is not found");
    }

    #[test]
    fn rows_that_are_not_finite_are_not_answered() {
        let nearest = Nearest::new(&[0.0, 1.0, 2.0, 3.0], &[0, 1], 2, 1, CLASSES).expect("a tree");
        assert!(votes(&nearest, &[0.0, 0.0]).is_some());
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(votes(&nearest, &[0.0, odd]), None);
            assert_eq!(votes(&nearest, &[0.0, 0.0, odd, 0.0]), None);
        }
    }

    #[test]
    fn what_are_no_points_that_vote_is_refused() {
        let is_taken = |points: &[f64], classes: &[u8], columns, neighbours, voted| {
            Nearest::new(points, classes, columns, neighbours, voted).is_some()
        };
        assert!(is_taken(&[0.0, 1.0], &[0, 1], 1, 1, 2));
        assert!(!is_taken(&[], &[], 1, 1, 2), "no points");
        assert!(!is_taken(&[0.0, 1.0], &[0, 1], 0, 1, 2), "no columns");
        assert!(!is_taken(&[0.0, 1.0], &[0, 1], usize::MAX, 1, 2), "too many columns");
        assert!(!is_taken(&[0.0, 1.0, 2.0], &[0, 1], 1, 1, 2), "a point without a class");
        assert!(!is_taken(&[0.0], &[0, 1], 1, 1, 2), "a class without a point");
        assert!(!is_taken(&[0.0, 1.0], &[0, 2], 1, 1, 2), "a class that is not there");
        assert!(!is_taken(&[0.0, 1.0], &[0, 0], 1, 1, 0), "no classes");
        assert!(!is_taken(&[0.0, 1.0], &[0, 1], 1, 1, 65), "too many classes");
        assert!(!is_taken(&[0.0, 1.0], &[0, 1], 1, 0, 2), "nobody votes");
        assert!(!is_taken(&[0.0, 1.0], &[0, 1], 1, 3, 2), "more neighbours than points");
        assert!(!is_taken(&[0.0; 300], &[0; 300], 1, 257, 2), "too many neighbours");
        for odd in [f64::NAN, f64::INFINITY] {
            assert!(!is_taken(&[0.0, odd], &[0, 1], 1, 1, 2), "{odd}");
        }
    }
}
