//! Counting values into buckets, as the monitor does with every row that was served.

const SIZE: usize = size_of::<f64>();

/// Where the values of one column are counted: by upper ends, which belong to their bucket, or as positions, those that are
/// none in the last.
pub struct Column {
    pub edges: Option<Vec<f64>>,
    pub buckets: usize,
}

/// For each column its buckets, one column after the other, and then for each the number of missing values; of rows of
/// little-endian doubles.
pub fn count(columns: &[Column], rows: &[u8]) -> Vec<i64> {
    let all: usize = columns.iter().map(|column| column.buckets).sum();
    let mut counts = vec![0; all + columns.len()];
    let (buckets, missing) = counts.split_at_mut(all);
    for row in rows.chunks_exact(columns.len() * SIZE) {
        let mut first = 0;
        let (values, _) = row.as_chunks::<SIZE>();
        for ((column, value), missing) in columns.iter().zip(values).zip(missing.iter_mut()) {
            let value = f64::from_le_bytes(*value);
            if value.is_nan() {
                *missing += 1;
            } else {
                buckets[first + column.position(value)] += 1;
            }
            first += column.buckets;
        }
    }
    counts
}

impl Column {
    fn position(&self, value: f64) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let found = match &self.edges {
            Some(edges) => edges.partition_point(|edge| *edge < value),
            None if value > -1.0 && value < self.buckets as f64 => value as usize,
            None => self.buckets,
        };
        found.min(self.buckets - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_bucket_whose_end_they_are_at_most_and_missing_ones_in_none() {
        let numbers = Column { edges: Some(vec![0.0, 1.0, 1.0, 2.0]), buckets: 5 };
        let words = Column { edges: None, buckets: 3 };
        let rows = [[-1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [1.5, 2.0], [f64::INFINITY, 7.0], [f64::NAN, f64::NAN]];
        let bytes: Vec<u8> = rows.as_flattened().iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(count(&[numbers, words], &bytes), [2, 1, 0, 1, 1, 1, 1, 3, 1, 1]);
    }
}
