//! From a compiled model's graph to instructions, where it has some for everything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message;

use crate::instructions::{Binary, Instruction, Operand, Operation, Program, Unary};
use crate::onnx::{BOOL, DOUBLE, FLOAT, INT64, Model, Node, UINT8};
use crate::trees::{Child, Leaf, Split, Trees};

/// Sums over more rows of a table ONNX Runtime takes in parts, which are rounded otherwise: numbers of a row, and of rows.
const ADDED_IN_ORDER: [(usize, usize); 2] = [(16, 512), (usize::MAX, 128)];
const SUM: i64 = 1;

/// The instructions for a model over rows of `columns`, with one output, of whole numbers or of doubles; `None` where it is not made
/// of what there are instructions for.
pub fn translated(model: &[u8], columns: usize, integers: bool) -> Option<Program> {
    let graph = Model::decode(model).ok()?.graph?;
    let [input] = graph.input.as_slice() else { return None };
    let [output] = graph.output.as_slice() else { return None };
    let mut asked = HashSet::from([output.name.as_str()]);
    let mut nodes = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| asked.contains(name.as_str())) {
            asked.extend(node.input.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    let mut writer = Writer { found: HashMap::new(), instructions: Vec::new(), registers: 1 };
    writer.found.insert(&input.name, Tensor::Rows(Rows { at: 0, tail: vec![columns], kind: Kind::Double }));
    for tensor in &graph.initializer {
        if asked.contains(tensor.name.as_str()) {
            let dims = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<_>>()?;
            let same = Same { numbers: tensor.numbers()?.into(), dims, kind: kind(i64::from(tensor.datatype))? };
            writer.found.insert(&tensor.name, Tensor::Same(same));
        }
    }
    for node in nodes.into_iter().rev() {
        let [name] = node.output.as_slice() else { return None };
        let found = writer.write(node)?;
        writer.found.insert(name, found);
    }
    let Tensor::Rows(found) = writer.found.get(output.name.as_str())? else { return None };
    if found.kind != (if integers { Kind::Integer } else { Kind::Double }) {
        return None;
    }
    let (output, width) = (found.at, found.width());
    Some(Program { instructions: writer.instructions, registers: writer.registers, columns, output, width, integers })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Double,
    Single,
    Integer,
    Truth,
}

fn kind(datatype: i64) -> Option<Kind> {
    match datatype {
        DOUBLE => Some(Kind::Double),
        FLOAT => Some(Kind::Single),
        INT64 => Some(Kind::Integer),
        BOOL => Some(Kind::Truth),
        _ => None,
    }
}

/// A tensor `[rows, tail…]` that an instruction fills.
#[derive(Clone)]
struct Rows {
    at: usize,
    tail: Vec<usize>,
    kind: Kind,
}

/// A constant.
#[derive(Clone)]
struct Same {
    numbers: Arc<[f64]>,
    dims: Vec<usize>,
    kind: Kind,
}

#[derive(Clone)]
enum Tensor {
    Rows(Rows),
    Same(Same),
    /// Entries of `width` numbers of a table, for each position `[rows, count]`, which are only ever added.
    Entries {
        table: Arc<[f64]>,
        width: usize,
        positions: usize,
        count: usize,
    },
}

impl Rows {
    fn width(&self) -> usize {
        self.tail.iter().product()
    }
}

struct Writer<'a> {
    found: HashMap<&'a str, Tensor>,
    instructions: Vec<Instruction>,
    registers: usize,
}

impl Writer<'_> {
    /// What a node's output is.
    fn write(&mut self, node: &Node) -> Option<Tensor> {
        let inputs: Vec<Tensor> =
            node.input.iter().map(|name| self.found.get(name.as_str()).cloned()).collect::<Option<_>>()?;
        let two = |operator| Some((operator, binary_kind(operator)));
        let binary = match node.operator.as_str() {
            "Add" => two(Binary::Add),
            "Sub" => two(Binary::Subtract),
            "Mul" => two(Binary::Multiply),
            "Div" => two(Binary::Divide),
            "Greater" => two(Binary::Greater),
            "GreaterOrEqual" => two(Binary::GreaterOrEqual),
            "Less" => two(Binary::Less),
            "Equal" => two(Binary::Equal),
            "And" => two(Binary::And),
            "Or" => two(Binary::Or),
            _ => None,
        };
        if let Some((operator, (taken, given))) = binary {
            let [left, right] = inputs.as_slice() else { return None };
            let (tail, [left, right]) = self.alike([left, right], taken)?;
            let width = tail.iter().product();
            return Some(self.add(Operation::Two { operator, left, right, width }, tail, given));
        }
        match (node.operator.as_str(), inputs.as_slice()) {
            ("Identity", [same]) => Some(same.clone()),
            ("Cast", [Tensor::Rows(from)]) => self.cast(from, kind(node.integer("to", 0))?),
            ("IsNaN", [Tensor::Rows(from)]) if from.kind == Kind::Double => {
                Some(self.add(Operation::One(Unary::IsMissing, from.at), from.tail.clone(), Kind::Truth))
            }
            ("Where", [condition, yes, no]) => self.choose(condition, yes, no),
            ("Squeeze", [Tensor::Rows(from), Tensor::Same(axes)]) if from.tail == [1] && is_one(axes) => {
                Some(Tensor::Rows(Rows { tail: Vec::new(), ..from.clone() }))
            }
            ("Unsqueeze", [Tensor::Rows(from), Tensor::Same(axes)]) if from.tail.is_empty() && is_one(axes) => {
                Some(Tensor::Rows(Rows { tail: vec![1], ..from.clone() }))
            }
            ("Concat", parts) if node.integer("axis", 0) == 1 => self.beside(parts),
            ("Gather", [Tensor::Rows(from), Tensor::Same(at)]) if node.integer("axis", 0) == 1 => self.pick(from, at),
            ("Gather", [Tensor::Same(table), Tensor::Rows(at)]) if node.integer("axis", 0) == 0 => entries(table, at),
            ("ReduceSum", [Tensor::Entries { table, width, positions, count }, Tensor::Same(axes)])
                if node.integer("keepdims", 1) == 0 && is_one(axes) =>
            {
                let (width, positions, count) = (*width, *positions, *count);
                let entries = Operation::Entries { table: Arc::clone(table), width, positions, count };
                Some(self.add(entries, vec![width], Kind::Double))
            }
            ("ArgMax", [Tensor::Rows(from)])
                if node.integer("axis", 0) == 1
                    && node.integer("keepdims", 1) == 0
                    && node.integer("select_last_index", 0) == 0
                    && from.kind == Kind::Double
                    && from.tail.len() == 1 =>
            {
                let greatest = Operation::Greatest { from: from.at, width: from.width() };
                Some(self.add(greatest, Vec::new(), Kind::Integer))
            }
            ("TreeEnsemble", [Tensor::Rows(from)]) if from.kind == Kind::Double && from.tail.len() == 1 => {
                let trees = trees(node, from.width())?;
                let tail = vec![trees.sums];
                Some(self.add(Operation::Trees(Arc::new(trees), from.at), tail, Kind::Double))
            }
            _ => None,
        }
    }

    /// An instruction that fills a register of its own.
    fn add(&mut self, operation: Operation, tail: Vec<usize>, kind: Kind) -> Tensor {
        let at = self.registers;
        self.registers += 1;
        self.instructions.push(Instruction { operation, to: at });
        Tensor::Rows(Rows { at, tail, kind })
    }

    fn cast(&mut self, from: &Rows, to: Kind) -> Option<Tensor> {
        let tail = from.tail.clone();
        match (from.kind, to) {
            (Kind::Double, Kind::Single) => Some(self.add(Operation::One(Unary::Round, from.at), tail, to)),
            (Kind::Double, Kind::Integer) => Some(self.add(Operation::One(Unary::Whole, from.at), tail, to)),
            // a whole number within a double's is that double, and truth is 1 and 0
            (Kind::Single | Kind::Truth | Kind::Integer, Kind::Double) | (Kind::Truth, Kind::Integer) => {
                Some(Tensor::Rows(Rows { kind: to, ..from.clone() }))
            }
            (from_kind, _) if from_kind == to => Some(Tensor::Rows(from.clone())),
            _ => None,
        }
    }

    fn choose(&mut self, condition: &Tensor, yes: &Tensor, no: &Tensor) -> Option<Tensor> {
        let tail = widest([condition, yes, no])?;
        let condition = self.operand(condition, &tail, Kind::Truth)?;
        let (yes, no) = (self.operand(yes, &tail, Kind::Double)?, self.operand(no, &tail, Kind::Double)?);
        let width = tail.iter().product();
        Some(self.add(Operation::Choose { condition, yes, no, width }, tail, Kind::Double))
    }

    fn beside(&mut self, parts: &[Tensor]) -> Option<Tensor> {
        let kind = parts.iter().find_map(|part| if let Tensor::Rows(rows) = part { Some(rows.kind) } else { None })?;
        let mut taken = Vec::new();
        for part in parts {
            let Tensor::Rows(rows) = part else { return None };
            if rows.kind != kind || rows.tail.len() != 1 {
                return None;
            }
            taken.push((Operand::Register(rows.at), rows.width()));
        }
        let width = taken.iter().map(|(_, width)| width).sum();
        Some(self.add(Operation::Beside(taken), vec![width], kind))
    }

    fn pick(&mut self, from: &Rows, at: &Same) -> Option<Tensor> {
        let width = from.width();
        if from.tail.len() != 1 || at.kind != Kind::Integer || at.dims.len() > 1 || at.numbers.is_empty() {
            return None;
        }
        let positions = at.numbers.iter().map(|number| position(*number, width)).collect::<Option<Vec<_>>>()?;
        Some(self.add(Operation::Pick { from: from.at, width, positions }, at.dims.clone(), from.kind))
    }

    /// Two operands for numbers of one kind, and the tail of what comes of them.
    fn alike(&mut self, tensors: [&Tensor; 2], kind: Kind) -> Option<(Vec<usize>, [Operand; 2])> {
        let tail = widest(tensors)?;
        let [left, right] = tensors;
        Some((tail.clone(), [self.operand(left, &tail, kind)?, self.operand(right, &tail, kind)?]))
    }

    /// A tensor as numbers of each row of this tail.
    fn operand(&mut self, tensor: &Tensor, tail: &[usize], kind: Kind) -> Option<Operand> {
        let width: usize = tail.iter().product();
        match tensor {
            Tensor::Rows(rows) if rows.kind != kind => None,
            Tensor::Rows(rows) if rows.tail == tail => Some(Operand::Register(rows.at)),
            Tensor::Rows(rows) if rows.tail == [1] && tail.len() == 1 => {
                let repeated = Operation::Pick { from: rows.at, width: 1, positions: vec![0; width] };
                self.add(repeated, tail.to_vec(), kind);
                Some(Operand::Register(self.registers - 1))
            }
            Tensor::Same(same) if same.kind == kind => {
                // `[width]` and `[1, width]` are the same for each row; a longer first axis is not
                let first_is_one = same.dims.len() <= tail.len() || same.dims[0] == 1;
                match same.numbers.len() {
                    1 if same.dims.len() <= tail.len() + 1 => Some(Operand::Same(vec![same.numbers[0]; width].into())),
                    count if count == width && first_is_one && same.dims.ends_with(tail) && tail.len() == 1 => {
                        Some(Operand::Same(Arc::clone(&same.numbers)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What an operator takes, and what it gives.
fn binary_kind(operator: Binary) -> (Kind, Kind) {
    match operator {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide => (Kind::Double, Kind::Double),
        Binary::Greater | Binary::GreaterOrEqual | Binary::Less | Binary::Equal => (Kind::Double, Kind::Truth),
        Binary::And | Binary::Or => (Kind::Truth, Kind::Truth),
    }
}

fn is_one(axes: &Same) -> bool {
    axes.dims == [1] && axes.kind == Kind::Integer && axes.numbers.iter().all(|axis| position(*axis, 2) == Some(1))
}

fn position(number: f64, count: usize) -> Option<usize> {
    (0..count).find(|at| u32::try_from(*at).is_ok_and(|at| f64::from(at).total_cmp(&number).is_eq()))
}

/// The tail that tensors are combined to.
fn widest<const N: usize>(tensors: [&Tensor; N]) -> Option<Vec<usize>> {
    tensors.into_iter().filter_map(tail_of).max_by_key(|tail| tail.iter().product::<usize>())
}

/// The tail that a tensor has in what it is combined to.
fn tail_of(tensor: &Tensor) -> Option<Vec<usize>> {
    match tensor {
        Tensor::Rows(rows) => Some(rows.tail.clone()),
        Tensor::Same(same) if same.numbers.len() == 1 => None,
        Tensor::Same(same) => same.dims.last().map(|width| vec![*width]),
        Tensor::Entries { .. } => None,
    }
}

fn entries(table: &Same, at: &Rows) -> Option<Tensor> {
    let ([_, width], [count]) = (table.dims.as_slice(), at.tail.as_slice()) else { return None };
    let in_order = ADDED_IN_ORDER.iter().any(|(widest, most)| width <= widest && count <= most);
    if at.kind != Kind::Integer || table.kind != Kind::Double || *width < 2 || *count == 0 || !in_order {
        return None;
    }
    Some(Tensor::Entries { table: Arc::clone(&table.numbers), width: *width, positions: at.at, count: *count })
}

/// The trees of a node; `None` where it does more than add up leaves by comparisons of the one kind.
fn trees(node: &Node, columns: usize) -> Option<Trees> {
    const KNOWN: [&str; 13] = [
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "tree_roots",
    ];
    if !node.attribute.iter().all(|attribute| KNOWN.contains(&attribute.name.as_str()))
        || node.integer("aggregate_function", SUM) != SUM
    {
        return None;
    }
    let integers = |name| node.attribute(name).map_or(&[][..], |found| found.integers.as_slice());
    let tensor = |name, kind| node.attribute(name)?.tensor.as_ref().filter(|found| i64::from(found.datatype) == kind);
    let thresholds = tensor("nodes_splits", DOUBLE)?.numbers()?;
    let weights = tensor("leaf_weights", DOUBLE)?.numbers()?;
    let modes = tensor("nodes_modes", UINT8)?.numbers()?;
    let (left, left_is_leaf) = (integers("nodes_truenodeids"), integers("nodes_trueleafs"));
    let (right, right_is_leaf) = (integers("nodes_falsenodeids"), integers("nodes_falseleafs"));
    let (columns_of, missing) = (integers("nodes_featureids"), integers("nodes_missing_value_tracks_true"));
    let of = |positions: &[i64], are_leaves: &[i64], at: usize| {
        let position = usize::try_from(*positions.get(at)?).ok()?;
        Some(if *are_leaves.get(at)? == 0 { Child::Split(position) } else { Child::Leaf(position) })
    };
    let at_most = |mode: &f64| mode.total_cmp(&0.0).is_eq();
    if modes.len() != thresholds.len() || !modes.iter().all(at_most) {
        return None;
    }
    let split = |(at, threshold): (usize, &f64)| {
        Some(Split {
            column: u16::try_from(*columns_of.get(at)?).ok()?,
            threshold: *threshold,
            missing_left: !missing.is_empty() && *missing.get(at)? != 0,
            left: of(left, left_is_leaf, at)?,
            right: of(right, right_is_leaf, at)?,
        })
    };
    let splits = thresholds.iter().enumerate().map(split).collect::<Option<Vec<_>>>()?;
    let sums = integers("leaf_targetids");
    let leaf = |(at, weight): (usize, &f64)| Some(Leaf { weight: *weight, sum: usize::try_from(*sums.get(at)?).ok()? });
    let leaves = weights.iter().enumerate().map(leaf).collect::<Option<Vec<_>>>()?;
    let roots = integers("tree_roots").iter().map(|root| usize::try_from(*root).ok()).collect::<Option<Vec<_>>>()?;
    Trees::new(&roots, &splits, &leaves, columns, usize::try_from(node.integer("n_targets", 0)).ok()?)
}
