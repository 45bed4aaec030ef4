//! Reading ONNX models: as much of onnx.proto3 as compiled models have. Numbers of fields are its own.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<Named>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "4")]
    pub operator: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "3")]
    pub integer: i64,
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub integers: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub datatype: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw: Vec<u8>,
}

/// `TensorProto.DataType`.
pub const FLOAT: i64 = 1;
pub const UINT8: i64 = 2;
pub const INT64: i64 = 7;
pub const BOOL: i64 = 9;
pub const DOUBLE: i64 = 11;

impl Node {
    /// A whole number that the node is given, or what the operator takes instead.
    pub fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |found| found.integer)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }
}

impl Tensor {
    /// Numbers of doubles, whole numbers, truth values or small ones, each as a double that equals it; `None` for other
    /// kinds, and for what is kept in another way.
    #[allow(clippy::cast_precision_loss)] // whole numbers here are axes and positions
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let raw = &self.raw;
        let found: Vec<f64> = match i64::from(self.datatype) {
            DOUBLE => words(raw).map(f64::from_le_bytes).collect(),
            INT64 => words(raw).map(|word| i64::from_le_bytes(word) as f64).collect(),
            BOOL | UINT8 => raw.iter().map(|byte| f64::from(*byte)).collect(),
            _ => return None,
        };
        let count =
            self.dims.iter().try_fold(1_usize, |count, size| count.checked_mul(usize::try_from(*size).ok()?))?;
        (found.len() == count).then_some(found)
    }
}

fn words(raw: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    raw.chunks_exact(8).filter_map(|word| word.try_into().ok())
}
